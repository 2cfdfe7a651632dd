"""Signals to the halves of a run with a batch in flight: neither outlives the other, and nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

import psutil
import pytest
from kazoo.client import KazooClient

from offsets.manager import current_owner
from offsets.stores import open_store
from servers.daemon import wait_for
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import SECONDS, Job, Topics, interrupt, once

RECORDS = 20  # a partition
BATCH = 10  # over both partitions: four batches
GONE_SECONDS = 30.0  # 10 on a machine that has nothing else to do


@pytest.fixture
def topic(topics: Topics) -> str:
    name = topics.create()
    topics.fill(name, RECORDS, RECORDS)
    return name


@pytest.fixture
def gated(topic: str, job: Callable[..., Job]) -> Job:
    """A job whose second batch waits for the test to open the gate."""
    made = job(topic, source__maxOffsetsPerTrigger=str(BATCH))
    made.gate(closed_from=BATCH // 2)
    return made


def finish(job: Job, topic: str) -> None:
    """The next launch reads to the end, each record once."""
    job.open_gate()
    ended = job.run()
    assert (ended.status, ended.summary["exitStatus"]) == (0, 0), ended.said
    assert job.landed() == once(topic, {0: (0, RECORDS), 1: (0, RECORDS)})
    assert job.register().pending is None


@pytest.mark.full
def test_sigterm_to_the_driver_drains(gated: Job, topic: str) -> None:
    """The batch in flight is finished and committed, nothing more is begun, and both halves exit 0."""
    launch = gated.submit()
    gated.wait_in_flight()
    driver = launch.find("driver")
    assert driver is not None
    driver.send_signal(signal.SIGTERM)
    gated.open_gate()
    assert launch.wait() == 0, launch.output
    launch.wait_gone(GONE_SECONDS)
    summary = launch.summary
    assert (summary["exitStatus"], summary["exitReason"], summary["batches"]) == (0, "drained on a signal", 2)
    assert launch.output.rstrip().splitlines()[-1].startswith('{"name"')
    assert gated.register().pending is None
    assert gated.landed() == once(topic, {0: (0, BATCH), 1: (0, BATCH)})


def test_no_half_outlives_the_other(gated: Job, topic: str) -> None:
    """SIGKILL to the JVM, SIGTERM to spark-submit: all is gone soon; the last launch finishes.

    Drivers are killed by tests/crash/test_submit.py, which looks at what is left of them too.
    """
    for victim, number in (("jvm", signal.SIGKILL), ("jvm", signal.SIGTERM)):
        launch = gated.submit()
        gated.wait_in_flight()
        processes = launch.family()
        assert len(processes) >= 4, "JVM, driver, daemon and a worker"
        target = launch.find(victim)
        assert target is not None
        target.send_signal(number)
        launch.wait_gone(GONE_SECONDS)
        assert launch.wait() != 0
        gated.forget_waiting()
    assert gated.landed() == once(topic, {0: (0, BATCH // 2), 1: (0, BATCH // 2)})
    finish(gated, topic)


@pytest.mark.full  # tests/incidents has the second launch
def test_second_launch_leaves_and_ctrl_c_ends_all(gated: Job, topic: str) -> None:
    """A launch beside a running one exits 75 and touches nothing; Ctrl-C to that one leaves what the next finishes."""
    launch = gated.submit("--available-now")
    gated.wait_in_flight()
    before, committed_ms = (gated.register_bytes(), gated.everything()), gated.register().committed_ms
    second = gated.run()
    assert second.status == second.summary["exitStatus"] == 75, second.said
    assert (gated.register_bytes(), gated.everything()) == before
    (line,) = second.complaints
    owner = gated.register().owner
    driver = launch.find("driver")
    assert driver is not None
    assert f"pid {driver.pid} on {owner.host}, started {owner.started}" in line
    committed = datetime.fromisoformat(line.partition("last commit ")[2].split()[0])
    assert committed.timestamp() == committed_ms // 1000
    assert "remedy: " in line
    interrupt(launch)
    launch.wait_gone(GONE_SECONDS)
    finish(gated, topic)


def test_driver_without_spark_ends_with_the_jvm(job: Callable[..., Job], topics: Topics, zookeeper: ZooKeeper) -> None:
    """A driver that still waits for the lock, before it has a SparkContext, does not outlive its spark-submit."""
    url = f"zookeeper://{zookeeper.hosts}/locked/{uuid.uuid4().hex}"
    made = job(topics.create(1), offsets__store=url, offsets__session__timeout__ms="12000")
    with closing(open_store(url, 12.0, 10.0)) as store, store.lock(current_owner("test"), 10.0):
        launch = made.submit("--available-now")
        wait_for(lambda: contenders(zookeeper, url) == 2, SECONDS, "the launch to wait for the lock")
        launch.family()
        os.kill(launch.pid, signal.SIGKILL)
        launch.wait_gone(GONE_SECONDS)


def contenders(zookeeper: ZooKeeper, url: str) -> int:
    """How many hold or wait for the lock of a store."""
    client = KazooClient(zookeeper.hosts)
    client.start(10)
    try:
        return len(client.get_children("/" + url.split("/", 3)[3] + "/lock"))
    finally:
        client.stop()
        client.close()


@pytest.mark.full
@pytest.mark.parametrize("victim", ["driver", "jvm"])
def test_plain_python_half_outlives_not_the_other(gated: Job, topic: str, victim: str) -> None:
    """The same without spark-submit, where the driver is the parent of the JVM."""
    run = gated.start()
    gated.wait_in_flight()
    family = [psutil.Process(run.process.pid), *psutil.Process(run.process.pid).children(recursive=True)]
    jvm = next(p for p in family if p.name() == "java")
    (family[0] if victim == "driver" else jvm).send_signal(signal.SIGKILL)
    run.wait(GONE_SECONDS)
    assert psutil.wait_procs(family, GONE_SECONDS)[1] == []
    finish(gated, topic)


@pytest.mark.full
def test_ctrl_c_to_plain_python_drains(gated: Job, topic: str) -> None:
    """Ctrl-C at `python run_stream.py`: the batch in flight is committed, and it exits 0."""
    run = gated.start()
    gated.wait_in_flight()
    os.killpg(run.process.pid, signal.SIGINT)  # as the terminal does: to the JVM and the workers as well
    gated.open_gate()
    assert run.wait().status == 0, run.said
    assert run.summary["exitReason"] == "drained on a signal"
    wait_for(lambda: gated.register().pending is None, SECONDS, "the batch to be committed")
    assert gated.landed() == once(topic, {0: (0, BATCH), 1: (0, BATCH)})
