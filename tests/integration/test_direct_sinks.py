"""Direct sinks on real Spark and Kafka: killed in the middle of a batch, with killed workers, and launched again."""

from __future__ import annotations

import re
import signal
import sqlite3
import textwrap
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from demonstration.launches import ROOT

from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from servers.spark_cluster import SparkCluster
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import SECONDS, Job, Topics, once

README = (ROOT / "README.rst").read_text(encoding="utf-8")
APPEND = """
class Append:
    idempotent = False

    def write_partition(self, range_, records):
        for _ in records:
            pass
"""
# Beside what the sink itself does, it tells of each record that it is given, each attempt in a file of its own, and of
# each range that it has written.  Then it waits at a gate: written, but not yet committed.
WATCHED = """
import os
import time
import uuid
from pathlib import Path

FOLDER = Path({folder!r})

class Watched({base}):
    def write_partition(self, range_, records):
        super().write_partition(range_, self.told(records))
        (FOLDER / f"range-{{uuid.uuid4().hex}}").write_text(str(range_))
        while not (FOLDER / "open").exists():
            time.sleep(0.01)

    def told(self, records):
        with open(FOLDER / f"seen-{{uuid.uuid4().hex}}", "w", buffering=1) as seen:
            for record in records:
                seen.write(f"{{record.topic}} {{record.partition}} {{record.offset}}\\n")
                if (record.partition, record.offset) == {dies_at}:
                    os.kill(os.getpid(), 9)
                yield record
"""


def example() -> str:
    """The sink of the README."""
    section = README.split("Direct sinks\n~~~")[1].split("\n~~~")[0]
    found = re.search(r"code-block:: python\n\n((?:    .*\n|\n)+)", section)
    assert found
    return textwrap.dedent(found[1])


def watched(job: Job, guarantee: str, sink: str, base: str, dies_at: tuple[int, int] = (-1, -1)) -> None:
    """The job writes to this sink from now on; its code lies beside the job file."""
    code = sink + WATCHED.format(folder=str(job.folder), base=base, dies_at=dies_at)
    (job.folder / "watched.py").write_text(code)
    job.settings.pop("sink.format", None)
    job.write(sink__class="watched:Watched", job__delivery__guarantee=guarantee)


def seen(job: Job) -> Counter[tuple[str, int, int]]:
    """How often the sink was given each record."""
    told = (path.read_text().rpartition("\n")[0] for path in job.folder.glob("seen-*"))  # no line in the making
    lines = (line.split() for each in told for line in each.splitlines())
    return Counter((topic, int(partition), int(offset)) for topic, partition, offset in lines)


def ranges(job: Job) -> Counter[str]:
    """How often the sink has written each range."""
    return Counter(path.read_text() for path in job.folder.glob("range-*"))


def kill_in_flight(job: Job) -> None:
    """SIGKILL while both ranges of the batch are written, and none of it is committed."""
    run = job.start("--available-now")
    wait_for(lambda: run.process.poll() is not None or ranges(job).total() == 2, SECONDS, "both ranges to be written")
    assert run.process.poll() is None, run.said
    run.end()
    job.open_gate()


def test_the_sink_of_the_readme_is_exactly_once(topics: Topics, job: Callable[..., Job]) -> None:
    """Killed between write and commit: the same ranges are written again, though more has come; each record once.

    Meanwhile a job without the sink, and a reset, are refused with the ranges.
    """
    topic = topics.create()
    topics.fill(topic, 30, 20)
    orders = job(topic)
    table = orders.folder / "orders.db"
    watched(orders, "exactly-once", example().replace("/data/orders.db", str(table)), "Upsert")
    kill_in_flight(orders)
    topics.fill(topic, 7, 7)
    first = {f"{topic}-0[0,30)", f"{topic}-1[0,20)"}
    pending = orders.register().pending
    assert pending is not None
    assert {str(r) for r in pending.ranges} == first

    without = job(topic, "without", offsets__store=orders.settings["offsets.store"])
    without.write(sink__path=orders.settings["sink.path"])
    launched, reset = without.run(), orders.operate("reset_offsets.py", "--all-topics", "--to-earliest", "--execute")
    for status, said in ((launched.status, launched.stderr), (reset.returncode, reset.stderr)):
        assert status == 3, said
        assert all(each in said for each in first), said

    again = orders.run()
    assert again.status == 0, again.said
    assert {each: ranges(orders)[each] for each in first} == dict.fromkeys(first, 2)
    assert orders.offsets(topic) == {0: 37, 1: 27}
    with closing(sqlite3.connect(table)) as db:
        rows = Counter(db.execute("SELECT topic, partition, offset FROM orders").fetchall())
        assert rows == once(topic, {0: (0, 37), 1: (0, 27)})
        assert db.execute("SELECT value FROM orders WHERE partition = 0 AND offset = 9").fetchone()[0] == b"%s 0 9" % (
            topic.encode()
        )


@pytest.mark.full  # the crash suite has it without Spark
def test_at_least_once_doubles_the_batch_in_flight_only(topics: Topics, job: Callable[..., Job]) -> None:
    """A sink that is not idempotent is given the killed batch's records twice, all others once, and none is lost."""
    topic = topics.create()
    topics.fill(topic, 30, 20)
    orders = job(topic)
    watched(orders, "at-least-once", APPEND, "Append")
    kill_in_flight(orders)
    topics.fill(topic, 5, 5)
    again = orders.run()
    assert again.status == 0, again.said
    assert seen(orders) == once(topic, {0: (0, 35), 1: (0, 25)}) + once(topic, {0: (0, 30), 1: (0, 20)})


@pytest.mark.full  # the crash suite has it without Spark
def test_at_most_once_doubles_nothing(topics: Topics, job: Callable[..., Job]) -> None:
    """A worker dies in the middle of its range, and Spark tries again: refused, so no record was given twice.

    The next launch goes on behind that batch; with source.startFresh behind all that there is.
    """
    topic = topics.create()
    topics.fill(topic, 30, 20)
    orders = job(topic)
    orders.open_gate()
    watched(orders, "at-most-once", APPEND, "Append", dies_at=(0, 17))
    orders.write(spark__spark__master="local[2,4]", source__startingOffsets="latest")
    died = orders.run("--set", "source.startingOffsets=earliest")
    assert died.status == 1, died.said
    assert f"second attempt of the task of {topic}-0[0,30) was refused" in died.stderr, died.said
    assert orders.offsets(topic) == {0: 30, 1: 20}
    assert seen(orders) - once(topic, {0: (0, 18), 1: (0, 20)}) == Counter()
    assert seen(orders)[(topic, 0, 17)] == 1

    watched(orders, "at-most-once", APPEND, "Append")
    topics.fill(topic, 10, 10)
    orders.write(source__startFresh="true")
    run = orders.start()
    wait_for(lambda: run.process.poll() is not None or orders.register().generation == 1, SECONDS, "a generation")
    topics.fill(topic, 5, 5)
    fresh = once(topic, {0: (40, 45), 1: (30, 35)})
    wait_for(lambda: run.process.poll() is not None or seen(orders) >= fresh, SECONDS, "the newest records")
    run.process.send_signal(signal.SIGTERM)
    assert run.wait().status == 0, run.said
    assert max(seen(orders).values()) == 1
    assert seen(orders) >= fresh
    assert not any(offset >= 30 for _, partition, offset in seen(orders) - fresh if partition == 0)
    assert "source.startFresh" in orders.register().reason
    assert (orders.lake / "_batches" / "1.reset.json").exists()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_tasks_of_lost_executors_are_not_written_again(
    spark_cluster: SparkCluster,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    executor_python: Path,
    topics: Topics,
    job: Callable[..., Job],
) -> None:
    """SIGKILL for every executor of a cluster: Spark runs their tasks again on new ones; HDFS has the claims."""
    topic = topics.create()
    topics.fill(topic, 30, 20)
    orders = job(topic)
    orders.settings |= {
        "offsets.store": f"zookeeper://{zookeeper.hosts}/{topic}",
        "sink.path": f"webhdfs://{hdfs.webhdfs}/lake/{topic}",
        "spark.spark.master": spark_cluster.master,
        "spark.spark.executor.memory": "512m",
        "spark.spark.pyspark.python": str(executor_python),
        "spark.spark.task.maxFailures": "4",
    }
    watched(orders, "at-most-once", APPEND, "Append")
    run = orders.start("--available-now")
    told = "both ranges to be written"
    wait_for(lambda: run.process.poll() is not None or ranges(orders).total() == 2, 2 * SECONDS, told)
    assert run.process.poll() is None, run.said
    for executor in spark_cluster.executors():
        executor.kill()
    assert run.wait(2 * SECONDS).status == 1, run.said
    orders.open_gate()
    assert "a second attempt of the task of" in run.stderr, run.said
    assert seen(orders) == once(topic, {0: (0, 30), 1: (0, 20)})
    assert orders.offsets(topic) == {0: 30, 1: 20}
