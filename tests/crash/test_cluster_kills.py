"""SIGKILL for executors and workers of a real cluster, with a slow task and speculation: the count stays exact."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from demonstration.counter import count, published
from demonstration.job import write_job
from demonstration.launches import Launch, end_all, in_flight, register

from offsets.filesystems import open_filesystem
from offsets.stores import open_store
from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.spark_cluster import SparkCluster
from servers.zookeeper_server import ZooKeeper

KILLS = 6
RECORDS = 40_000
BATCH = 2_000
SECONDS = 180.0
# The first attempt at partition 0 is slow enough for a copy of it to be started, and to be overtaken by it.
SLOW = """
import time
from pyspark import TaskContext
from streaming.jobs.transactions import parse

def slow_first(record):
    task = TaskContext.get()
    if task.partitionId() == 0 and task.attemptNumber() == 0:
        time.sleep(0.004)
    return parse(record)
"""


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[Callable[[], Launch]]:
    """`launched()`: the launch that runs, or another one if the last has ended."""
    launches: list[Launch] = []

    def launch() -> Launch:
        if not launches or not launches[-1].running:
            log = tmp_path / f"{len(launches)}.log"
            launches.append(
                Launch(tmp_path / "kills.cfg", log, "--available-now", "--set", "job.function=slow:slow_first")
            )
        return launches[-1]

    yield launch
    end_all(launches)


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_executors_and_workers_die(
    spark_cluster: SparkCluster,
    kafka: Kafka,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    executor_python: Path,
    produced: Callable[[int], tuple[str, Path]],
    launched: Callable[[], Launch],
    tmp_path: Path,
) -> None:
    """Six kills in mid-batch, executors and workers in turn: every record once, by runs that go on or are repeated."""
    topic, log = produced(RECORDS)
    sink_url = f"webhdfs://{hdfs.webhdfs}/lake/{tmp_path.name}"
    store_url = f"zookeeper://{zookeeper.hosts}/{tmp_path.name}"
    (tmp_path / "events").mkdir()
    (tmp_path / "slow.py").write_text(SLOW)
    write_job(
        tmp_path / "kills.cfg",
        topic=topic,
        bootstrap=kafka.bootstrap,
        store=store_url,
        sink=sink_url,
        batch=BATCH,
        master=spark_cluster.master,
        more={
            "spark.ui.enabled": "false",
            "spark.executor.memory": "512m",
            "spark.executor.cores": "2",
            "spark.pyspark.python": str(executor_python),
            "spark.speculation": "true",
            "spark.speculation.interval": "100ms",
            "spark.speculation.minTaskRuntime": "100ms",
            "spark.speculation.quantile": "0.5",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file://{tmp_path / 'events'}",
            "spark.eventLog.compress": "false",
            "spark.eventLog.rolling.enabled": "false",
        },
    )
    dice, hit = random.Random(RECORDS), set[int]()
    with closing(open_store(store_url, 4.0, 10.0)) as store:
        sink = open_filesystem(sink_url)
        for number in range(KILLS):
            launch = launched()
            wait_for(
                lambda launch=launch: not launch.running or in_flight(store, sink) not in {None, *hit},  # type: ignore[misc]
                SECONDS,
                "a batch that was not hit yet",
            )
            before = in_flight(store, sink)
            victims = spark_cluster.executors() if number % 2 else spark_cluster.workers
            dice.choice(victims).kill()
            assert before is not None, launch.output
            hit.add(before)
            spark_cluster.up()
            wait_for(lambda: len(spark_cluster.executors()) == 2 or not launched().running, SECONDS, "executors")
        while launched().wait(SECONDS) != 0:
            pass
        state = register(store)
    total = count(published(sink_url), log)
    copies = speculative(tmp_path / "events")
    print(f"batches hit {sorted(hit)} of {state.seq if state else 0}; {copies} speculative attempts; {total}")
    assert len(hit) == KILLS
    assert copies > 0
    assert (total.produced, total.exact) == (RECORDS, True)
    assert state is not None
    assert state.pending is None


def speculative(folder: Path) -> int:
    """How many copies of tasks were started, by Spark's event logs."""
    lines = (line for log in folder.iterdir() for line in log.read_text().splitlines())
    events = (json.loads(line) for line in lines if '"SparkListenerTaskStart"' in line)
    return sum(event["Task Info"]["Speculative"] for event in events)
