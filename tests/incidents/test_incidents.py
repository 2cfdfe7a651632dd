"""Each stop of the table, brought about on real servers: its line, its exit status, and the command that goes on.

A test has the name of its row.  Launches run in the test's process, all real but Spark; other scripts are processes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.cluster import Sandbox
from servers.daemon import is_stopped, wait_for
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.zookeeper_ensemble import ZooKeeperEnsemble
from servers.zookeeper_server import ZooKeeper
from tests.guards.logs import created
from tests.guards.rehearsal import landed_by, launch
from tests.guards.test_space import limits_lifted, names_in, no_byte_more, set_quota
from tests.incidents.operator import Operator
from tests.incidents.table import Incident
from tests.integration.jobs import SECONDS, Job, Process, Topics
from tests.takeover.drivers import At, Drivers

LANDED, MORE = 10, 5  # records: what the first launch lands, and what comes then
Started = Callable[..., Operator]

# A function beside the job file that takes no record from an offset on.
PICKY = """
def picky(record):
    if record.offset >= {least}:
        raise ValueError("a sum that is none")
    return {{"topic": record.topic, "partition": record.partition, "offset": record.offset}}
"""


@pytest.fixture
def started(kafka: Kafka, topics: Topics, job: Callable[..., Job], incident: Incident) -> Started:
    """`started(section__key=value, ...)`: a job that has landed all there was; then more has come."""

    def start(**settings: str) -> Operator:
        topic = created(kafka)
        topics.fill(topic, LANDED)
        made = Operator(incident, job(topic, **settings), topic)
        landed_by(made.job)
        topics.fill(topic, MORE)
        return made

    return start


def test_data_loss(started: Started, topics: Topics) -> None:
    """Kafka has deleted what was not read yet."""
    operator = started()
    topics.truncate(operator.topic, 0, LANDED + 2)
    operator.types("reset_offsets.py", operator.launches_in_vain())
    operator.finds((0, LANDED), (LANDED + 2, LANDED + MORE))


@pytest.mark.full
def test_topic_replaced(started: Started, topics: Topics) -> None:
    """Somebody has deleted the topic and made another one of its name."""
    operator = started()
    topics.delete(operator.topic)
    topics.create(1, operator.topic)
    topics.fill(operator.topic, 3)
    operator.types("reset_offsets.py", operator.launches_in_vain())
    operator.finds((0, LANDED), (0, 3))


def test_topic_missing(started: Started, topics: Topics) -> None:
    """Somebody has deleted it: it must be made again before there is anything to go on from."""
    operator = started()
    topics.delete(operator.topic)
    line = operator.launches_in_vain()
    assert f"create {operator.topic} again" in line
    topics.create(1, operator.topic)
    topics.fill(operator.topic, 3)
    operator.types("reset_offsets.py", line)
    operator.finds((0, LANDED), (0, 3))


def test_register_lost(started: Started) -> None:
    """The store's folder is gone."""
    operator = started()
    shutil.rmtree(operator.job.folder / "offsets")
    operator.types("run_stream.py", operator.launches_in_vain())
    operator.finds((0, LANDED + MORE))


def test_register_damaged(started: Started) -> None:
    """A byte of it has flipped."""
    operator = started()
    newest = max((operator.job.folder / "offsets" / "state").iterdir())
    damaged = bytearray(newest.read_bytes())
    damaged[-10] ^= 1
    newest.write_bytes(damaged)
    operator.types("run_stream.py", operator.launches_in_vain())
    operator.finds((0, LANDED + MORE))


def frozen_at(drivers: Drivers, operator: Operator, point: str) -> Process:
    """A launch that sleeps there."""
    frozen = drivers.start(operator.job.path, "--available-now", prelude=At(point, "freeze"))
    wait_for(lambda: is_stopped(frozen.process.pid), SECONDS, "the driver to freeze")
    return frozen


def test_overlap(started: Started, drivers: Drivers) -> None:
    """A launch comes while a run is in mid-batch, for long: it names that run, which then finishes what it does."""
    operator = started()
    run = frozen_at(drivers, operator, "prepare.before")
    assert f" pid {run.process.pid} on " in operator.launches_in_vain()
    run.process.send_signal(signal.SIGCONT)
    assert run.wait().status == 0, run.said
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))


@pytest.mark.full
@pytest.mark.parametrize("kind", ["zookeeper", "file"])
def test_frozen_holder(started: Started, zookeeper: ZooKeeper, drivers: Drivers, kind: str) -> None:
    """A driver sleeps in mid-batch for longer than its session.  It is overtaken, and wakes when another one has gone
    on; with a lock that outlives sleep, launches name it until a person ends it."""
    places = {"zookeeper": {"offsets__store": f"zookeeper://{zookeeper.hosts}/incidents/{uuid.uuid4().hex}"}}
    operator = started(offsets__session__timeout__ms="2000", **places.get(kind, {}))
    frozen = frozen_at(drivers, operator, "manifest.before")
    if kind == "file":
        ended = launch(operator.job)
        assert ended.status == operator.incident.exit
        (pid,) = re.findall(r"another run holds the lock: pid (\d+) on ", ended.stderr)
        assert int(pid) == frozen.process.pid
        os.kill(int(pid), signal.SIGKILL)
        frozen.wait()
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))
    if kind == "zookeeper":
        frozen.process.send_signal(signal.SIGCONT)
        operator.reads(frozen.wait())
        operator.finds((0, LANDED + MORE))


@pytest.fixture
def ensemble(sandbox: Sandbox, java_home: Path) -> Iterator[ZooKeeperEnsemble]:
    made = ZooKeeperEnsemble(sandbox.data / "incident-ensemble")
    made.up()
    made.leader()
    yield made
    made.down(graceful=False)


@pytest.mark.full
def test_zookeeper_quorum_lost(started: Started, ensemble: ZooKeeperEnsemble) -> None:
    """Two servers of three are dead when a launch comes."""
    operator = started(offsets__store=f"zookeeper://{ensemble.hosts}/incidents/{uuid.uuid4().hex}")
    ensemble.lose_quorum()
    operator.reads(launch(operator.job))
    ensemble.up()
    ensemble.leader()
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))


@pytest.mark.full
def test_namenode_safe_mode(started: Started, hdfs: Hdfs) -> None:
    """Reads go on, nothing can be written."""
    root = f"webhdfs://{hdfs.webhdfs}/incidents/{uuid.uuid4().hex}"
    operator = started(offsets__store=f"{root}/offsets", sink__path=f"{root}/lake")
    hdfs.safe_mode(True)
    try:
        operator.launches_in_vain()
    finally:
        assert operator.incident.command("hdfs", {}).split()[2:] == ["-safemode", "leave"]
        hdfs.safe_mode(False)
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))


@pytest.mark.full
def test_broker_down(started: Started, kafka: Kafka) -> None:
    """Nobody listens where it was."""
    operator = started()
    kafka.broker.kill()
    operator.launches_in_vain()
    kafka.up()
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))


def test_disk_full(started: Started) -> None:
    """No file may grow.  The kernel's limit for one process says EFBIG where a full disk says ENOSPC."""
    operator = started()
    told = operator.incident._replace(line=operator.incident.line.replace("No space left on device", "File too large"))
    assert told != operator.incident
    with limits_lifted():
        ended = launch(operator.job, at={"stage.before": no_byte_more})
    Operator(told, operator.job, operator.topic).reads(ended)
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))


@pytest.mark.full
def test_quota_full(started: Started, hdfs: Hdfs) -> None:
    """A folder may take no more names."""
    root = f"/incidents/{uuid.uuid4().hex}"
    operator = started(sink__path=f"webhdfs://{hdfs.webhdfs}{root}")
    set_quota(hdfs, root, names=names_in(hdfs, root))
    assert root in operator.launches_in_vain()
    hdfs.admin(*operator.incident.command("hdfs dfsadmin -clrQuota", {"DIRECTORY": root}).split()[2:])
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))


def picky(operator: Operator, least: int) -> None:
    module = f"picky_{uuid.uuid4().hex}"  # this process knows those of other tests
    (operator.job.folder / f"{module}.py").write_text(PICKY.format(least=least))
    operator.job.write(job__function=f"{module}:picky")


def test_record_function_raises(started: Started) -> None:
    """It does so on one record, which then waits in the quarantine."""
    operator = started()
    picky(operator, LANDED + MORE - 1)
    line = operator.launches_in_vain()
    assert f" offset {LANDED + MORE - 1}: " in line
    assert "raised ValueError: a sum that is none at " in line
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))
    (kept,) = (row for row in operator.job.rows() if "error" in row)
    assert kept["offset"] == LANDED + MORE - 1


def test_bad_share_exceeded(started: Started) -> None:
    """More of the batch is bad than the job allows; a person allows more, for this once."""
    operator = started(job__badRecords="quarantine", job__badRecords__maxShare="0.1")
    picky(operator, LANDED + MORE - 2)
    operator.launches_in_vain()
    operator.types("run_stream.py")
    operator.finds((0, LANDED + MORE))
    assert sum("error" in row for row in operator.job.rows()) == 2
