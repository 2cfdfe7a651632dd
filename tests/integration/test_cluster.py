"""Runs on a real standalone cluster: executors on two hosts, in other processes, that have none of our code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from demonstration.launches import ROOT, environment

from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from servers.spark_cluster import HOSTS, SparkCluster
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import SECONDS, Job, Topics, once

# The first attempt at partition 0 never ends: only an attempt on another executor can.
STUCK = """
import socket, sys, time
import streaming
from pyspark import TaskContext

def told(record):
    task = TaskContext.get()
    while task.partitionId() == 0 and task.attemptNumber() == 0:
        time.sleep(0.05)
    return {
        "topic": record.topic, "partition": record.partition, "offset": record.offset,
        "attempt": task.attemptNumber(), "code": streaming.__file__, "python": sys.executable,
    }
"""
SPECULATION = {
    "spark.spark.speculation": "true",
    "spark.spark.speculation.interval": "100ms",
    "spark.spark.speculation.minTaskRuntime": "100ms",
    "spark.spark.speculation.quantile": "0.5",
}
DYNAMIC = {
    "spark.spark.dynamicAllocation.enabled": "true",
    "spark.spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.spark.dynamicAllocation.executorIdleTimeout": "1s",
    "spark.spark.dynamicAllocation.maxExecutors": "1",
}


class ClusterJob:
    """A job whose tasks run on the cluster, and what Spark's event log says of it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.log = job.folder / "events"
        self.log.mkdir()

    def events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Of the last application."""
        *_, last = sorted(self.log.iterdir())
        for line in last.read_text().splitlines():
            event: dict[str, Any] = json.loads(line)
            if event["Event"] == f"SparkListener{kind}":
                yield event


@pytest.fixture
def cluster_job(
    spark_cluster: SparkCluster,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    executor_python: Path,
    job: Callable[..., Job],
    tmp_path: Path,
) -> Callable[..., ClusterJob]:
    """`cluster_job(topic, {"section.key": value})`: register in ZooKeeper, sink in HDFS, one core a worker."""

    def make(topic: str, settings: dict[str, str] | None = None) -> ClusterJob:
        made = ClusterJob(job(topic))
        made.job.settings |= {
            "offsets.store": f"zookeeper://{zookeeper.hosts}/{tmp_path.name}/{topic}",
            "sink.path": f"webhdfs://{hdfs.webhdfs}/lake/{tmp_path.name}/{topic}",
            "spark.spark.master": spark_cluster.master,
            "spark.spark.executor.memory": "512m",
            "spark.spark.executor.cores": "1",
            "spark.spark.cores.max": "2",
            "spark.spark.scheduler.minRegisteredResourcesRatio": "1",
            "spark.spark.pyspark.python": str(executor_python),
            "spark.spark.eventLog.enabled": "true",
            "spark.spark.eventLog.dir": f"file://{made.log}",
            "spark.spark.eventLog.compress": "false",
            "spark.spark.eventLog.rolling.enabled": "false",
        } | (settings or {})
        made.job.write()
        return made

    return make


def test_ships_itself_and_survives_speculation(topics: Topics, cluster_job: Callable[..., ClusterJob]) -> None:
    """Told of the cluster by spark-submit: our code and the job's arrive; of two attempts at once one counts."""
    topic = topics.create()
    topics.fill(topic, 20, 30)
    made = cluster_job(topic, {"job.function": "stuck:told", **SPECULATION})
    (made.job.folder / "stuck.py").write_text(STUCK)
    master = made.job.settings.pop("spark.spark.master")
    made.job.write()
    launch = made.job.submit("--available-now", spark_options=["--master", master])
    assert launch.wait() == 0, launch.output
    assert made.job.landed() == once(topic, {0: (0, 20), 1: (0, 30)})
    assert launch.summary["numInputRows"] == 50, "what the loser has read does not count"
    tasks = [event["Task Info"] for event in made.events("TaskStart")]
    assert {task["Host"] for task in tasks} == set(HOSTS)
    (copy,) = (task for task in tasks if task["Speculative"])
    (stuck,) = (task for task in tasks if task["Index"] == copy["Index"] and not task["Speculative"])
    assert copy["Host"] != stuck["Host"]
    rows = made.job.rows()
    assert {row["attempt"] for row in rows if row["partition"] == copy["Index"]} == {1}
    assert {row["python"] for row in rows} == {made.job.settings["spark.spark.pyspark.python"]}
    assert all("kafka-direct-streaming.zip" in row["code"] for row in rows)


@pytest.mark.full
def test_executor_and_worker_die_in_mid_batch(
    topics: Topics, cluster_job: Callable[..., ClusterJob], spark_cluster: SparkCluster
) -> None:
    """SIGKILL for an executor, then for a worker, each while both tasks of a batch run: the same run goes on."""
    topic = topics.create()
    topics.fill(topic, 20, 20)
    made = cluster_job(topic, {"source.maxOffsetsPerTrigger": "10"})
    made.job.gate(closed_from=5)
    launch = made.job.submit("--available-now")
    made.job.wait_in_flight()
    victim = spark_cluster.executors_of(spark_cluster.workers[1])[0]
    victim.kill()
    made.job.forget_waiting()
    wait_for(lambda: len(spark_cluster.executors()) == 2, SECONDS, "another executor")
    made.job.wait_in_flight()
    spark_cluster.workers[0].kill()
    wait_for(lambda: len(spark_cluster.executors()) == 2, SECONDS, "both executors on the worker that is left")
    made.job.open_gate()
    assert launch.wait() == 0, launch.output
    assert made.job.landed() == once(topic, {0: (0, 20), 1: (0, 20)})
    assert made.job.register().pending is None
    lost = [event["Task End Reason"]["Reason"] for event in made.events("TaskEnd")]
    assert lost.count("ExecutorLostFailure") >= 2, lost


@pytest.mark.full
def test_executors_come_and_go(
    topics: Topics, cluster_job: Callable[..., ClusterJob], spark_cluster: SparkCluster
) -> None:
    """Dynamic allocation: none is kept while nothing comes, and they are back for the next records."""
    topic = topics.create()
    topics.fill(topic, 10, 10)
    made = cluster_job(topic, DYNAMIC)
    launch = made.job.submit()
    for count in (10, 25):
        wait_for(lambda count=count: made.job.offsets(topic) == {0: count, 1: count}, SECONDS, "the batch")  # type: ignore[misc]
        wait_for(lambda: not spark_cluster.executors(), SECONDS, "the executors to be given back")
        topics.fill(topic, *((15, 15) if count == 10 else (0, 0)))
    assert launch.running
    assert made.job.landed() == once(topic, {0: (0, 25), 1: (0, 25)})


@pytest.mark.full
def test_a_missing_package_is_one_line(
    topics: Topics, cluster_job: Callable[..., ClusterJob], bare_python: Path
) -> None:
    """Executors with nothing but Spark: exit 1, the package by name and what to do, no page of Java; nothing lands."""
    topic = topics.create(1)
    topics.fill(topic, 5)
    settings = {"pyspark.python": str(bare_python), "cores.max": "1", "task.maxFailures": "1"}
    made = cluster_job(topic, {f"spark.spark.{key}": value for key, value in settings.items()})
    ended = made.job.run()
    assert ended.status == 1, ended.said
    (line,) = ended.complaints
    assert "No module named" in line
    assert str(bare_python) in line
    assert "remedy: " in line
    assert "pack_environment.py" in line
    assert "Traceback" not in ended.said
    assert "\tat " not in ended.said
    assert (made.job.offsets(topic), made.job.landed()) == ({0: 0}, once(topic, {}))


@pytest.mark.full
def test_packed_packages(
    topics: Topics, cluster_job: Callable[..., ClusterJob], bare_python: Path, tmp_path: Path
) -> None:
    """The same executors with the archive of scripts/pack_environment.py have all that a job needs."""
    archive = tmp_path / "packages.tar.gz"
    pack = [sys.executable, str(ROOT / "scripts" / "pack_environment.py"), str(archive)]
    subprocess.run(pack, check=True, env=environment())
    assert subprocess.run(pack, env=environment()).returncode == 1, "an archive is never overwritten"
    topic = topics.create()
    topics.fill(topic, 5, 5)
    settings = {"archives": f"{archive}#packages", "executorEnv.PYTHONPATH": "packages", "pyspark.python": bare_python}
    made = cluster_job(topic, {f"spark.spark.{key}": str(value) for key, value in settings.items()})
    ended = made.job.run()
    assert ended.status == 0, ended.said
    assert made.job.landed() == once(topic, {0: (0, 5), 1: (0, 5)})


def test_a_local_disk_is_refused(job: Callable[..., Job]) -> None:
    """Exit 2 with both places, whoever names the cluster, before Kafka, the register or the cluster are looked for."""
    made = job("orders", kafka__bootstrap__servers="127.0.0.1:1")
    del made.settings["spark.spark.master"]
    made.write()
    launch = made.submit("--available-now", spark_options=["--master", "spark://127.0.0.1:1"])
    assert launch.wait() != 0
    assert launch.summary["exitStatus"] == 2, launch.output
    told = [line for line in launch.output.splitlines() if " ERROR " in line]
    assert [" ".join(line.split()[3:6]) for line in told] == [
        f"{option} = {made.settings[option]}:" for option in ("offsets.store", "sink.path")
    ]
    assert not made.lake.exists()
