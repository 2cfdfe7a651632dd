"""A run that is frozen past its session, overtaken and woken: it says so, leaves with 75 and has changed nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from servers.daemon import is_stopped, wait_for
from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import SECONDS, Job, Topics, once
from tests.takeover.drivers import At, Drivers
from tests.takeover.stores import contents, mostly, places

RECORDS = 6  # a partition
POINTS = ("stage.before", "task.close", "manifest.before", "prepare.before", "publish.before")


@pytest.fixture(params=mostly("zookeeper")[:2])
def made(
    request: pytest.FixtureRequest,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    topics: Topics,
    job: Callable[..., Job],
    tmp_path: Path,
) -> Job:
    """A job of two batches, the register in ZooKeeper over local files, or all of it in HDFS."""
    topics.fill(topic := topics.create(), RECORDS, RECORDS)
    return job(
        topic,
        source__maxOffsetsPerTrigger=str(RECORDS),
        offsets__session__timeout__ms="4000",
        **places(request.param, "job", tmp_path, zookeeper, hdfs),
    )


def state_of(job: Job) -> object:
    """What it stages when it wakes up nobody sees, and the next launch collects it."""
    files = {name: mark for name, mark in contents(job).items() if not name.startswith("_staging/")}
    return job.register_bytes(), files


def take_over(job: Job, drivers: Drivers) -> None:
    """Launches until one does not find a holder; on a busy machine the first may not have watched the lock for long."""
    wait_for(lambda: drivers.run(job.path).status != 75, SECONDS, "a launch to take over")
    assert drivers.started[-1].status == 0, drivers.started[-1].said
    assert_landed(job)


def assert_landed(job: Job) -> None:
    assert job.register().pending is None
    assert job.landed() == once(job.settings["source.subscribe"], {0: (0, RECORDS), 1: (0, RECORDS)})


@pytest.mark.parametrize("point", mostly("manifest.before", POINTS))
def test_a_woken_driver_says_that_it_was_overtaken(made: Job, drivers: Drivers, point: str) -> None:
    """Also where what it misses first is a file that the other run has collected: that is no fault of a disk."""
    first = drivers.start(made.path, "--available-now", prelude=At(point, "freeze"))
    wait_for(lambda: is_stopped(first.process.pid), SECONDS, f"the driver to stop at {point}")
    take_over(made, drivers)
    before = state_of(made)
    first.process.send_signal(signal.SIGCONT)
    first.wait()
    assert state_of(made) == before
    assert first.status == 75, first.said
    assert "another driver" in first.complaints[0], first.said


@pytest.mark.full
def test_a_frozen_spark_submit(made: Job, drivers: Drivers) -> None:
    """JVM, driver and workers stop in mid-batch, as in a machine that pauses, and go on when all is done."""
    made.gate()
    first = made.submit("--available-now")
    made.wait_in_flight()
    family = first.family()
    for each in family:
        each.suspend()
    wait_for(lambda: all(map(stopped, family)), SECONDS, "all of it to stop")
    made.open_gate()
    take_over(made, drivers)
    before = state_of(made)
    for each in reversed(family):
        each.resume()
    assert first.wait() == 75, first.output
    first.wait_gone(SECONDS)
    assert state_of(made) == before


def stopped(process: psutil.Process) -> bool:
    return is_stopped(process.pid)
