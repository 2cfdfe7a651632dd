"""Runs on real Spark: retried tasks, failing functions, Spark's own pages, limits, formats, and the older Spark."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from demonstration.counter import published

from servers.daemon import wait_for
from servers.ports import free_ports
from tests.integration.jobs import SECONDS, Job, Topics, once

# The first attempt of each task dies in the middle of its range, after rows were staged for it.
FAILS_FIRST = """
import os
from pyspark import TaskContext

def retried(record):
    attempt = TaskContext.get().attemptNumber()
    if attempt == 0 and record.offset >= 5:
        raise RuntimeError("the first attempt fails")
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset, "attempt": attempt,
            "sockets": os.environ["PYTHON_UNIX_DOMAIN_ENABLED"]}
"""

FAILS_ALWAYS = """
def broken(record):
    if record.offset >= 7:
        return {}["no such key"]
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
"""

# How often this worker has read an archive's directory since its first record.
COUNTING = """
import os, zipimport
from pyspark import TaskContext

reads = []
read = zipimport._read_directory
zipimport._read_directory = lambda archive: reads.append(archive) or read(archive)

def told(record):
    return {
        "topic": record.topic, "partition": record.partition, "offset": record.offset,
        "worker": os.getpid(), "task": TaskContext.get().taskAttemptId(), "reads": len(reads),
    }
"""


def values(job: Job) -> Counter[bytes]:
    """Lines of all published files."""
    return Counter(line for _, content in published(job.settings["sink.path"]) for line in content.splitlines())


def entries(job: Job) -> list[dict[str, Any]]:
    """The batch log, without the header line of each entry."""
    log = sorted((job.lake / "_batches" / "0").iterdir())
    return [json.loads(entry.read_bytes().partition(b"\n")[2]) for entry in log]


def test_task_retries(topics: Topics, job: Callable[..., Job]) -> None:
    """On local[2,4] every first attempt fails: each record lands once, all by second attempts."""
    topic = topics.create()
    topics.fill(topic, 20, 20)
    made = job(topic, spark__spark__master="local[2,4]", job__function="flaky:retried")
    (made.folder / "flaky.py").write_text(FAILS_FIRST)
    launch = made.submit("--available-now")
    assert launch.wait() == 0, launch.output
    assert made.landed() == once(topic, {0: (0, 20), 1: (0, 20)})
    assert {row["attempt"] for row in made.rows()} == {1}
    assert {row["sockets"] for row in made.rows()} == {"True"}, "workers are not reached over TCP"
    assert launch.summary["numInputRows"] == 40, "what failed attempts have read does not count"


@pytest.mark.full  # tests/incidents has it without Spark
def test_function_that_raises(topics: Topics, job: Callable[..., Job]) -> None:
    """Exit 1 with one line that names function, place and record; nothing of the batch is visible or committed."""
    topic = topics.create(1)
    topics.fill(topic, 20)
    made = job(topic, job__function="broken:broken", source__maxOffsetsPerTrigger="6")
    module = made.folder / "broken.py"
    module.write_text(FAILS_ALWAYS)
    launch = made.submit("--available-now")
    assert launch.wait() == launch.summary["exitStatus"] == 1, launch.output
    (line,) = (line for line in launch.output.splitlines() if "bad record" in line and " ERROR " in line)
    raising = FAILS_ALWAYS.splitlines().index('        return {}["no such key"]') + 1
    assert f"bad record {topic}-0 offset 7: broken:broken raised KeyError" in line
    assert f"broken.py:{raising}" in line
    assert "remedy: " in line
    assert "Traceback" not in launch.output
    assert "\tat " not in launch.output
    assert made.landed() == once(topic, {0: (0, 6)}), "the batch before it stays"
    assert (made.offsets(topic), made.register().pending) == ({0: 6}, None)
    module.write_text(FAILS_ALWAYS.replace("7", "70"))
    assert made.run().status == 0
    assert made.landed() == once(topic, {0: (0, 20)})


def test_limits_and_lags(topics: Topics, job: Callable[..., Job]) -> None:
    """Two topics of uneven lag and an empty one, as text without a function: bounded batches, bytes unchanged."""
    small, large, empty = topics.create(), topics.create(), topics.create()
    topics.fill(small, 3, 7)
    topics.fill(large, 90, 0)
    made = job(f"{small},{large},{empty}", sink__format="text", source__maxOffsetsPerTrigger="30")
    ended = made.run()
    assert ended.status == 0, ended.said
    wanted = [(small, 0, 3), (small, 1, 7), (large, 0, 90)]
    assert values(made) == Counter(f"{t} {p} {n}".encode() for t, p, count in wanted for n in range(count))
    sizes = [sum(until - first for *_, first, until in entry["ranges"]) for entry in entries(made)]
    assert sum(sizes) == 100
    assert max(sizes) <= 30
    assert {topic for topic, *_ in entries(made)[0]["ranges"]} == {small, large}, "no topic waits for the other"
    state = made.register()
    assert {t: dict(state.topics[t].offsets) for t in state.topics} == {
        small: {0: 3, 1: 7},
        large: {0: 90, 1: 0},
        empty: {0: 0, 1: 0},
    }


def test_runs_until_told_and_shows_itself(topics: Topics, job: Callable[..., Job]) -> None:
    """Without --available-now: it lands what comes later, Spark's pages tell sizes and ranges, SIGTERM ends it."""
    topic = topics.create()
    port = str(free_ports(1)[0])
    made = job(topic, spark__spark__ui__enabled="true", spark__spark__ui__port=port)
    topics.fill(topic, 4, 0)
    run = made.start()
    for end in (4, 10):
        wait_for(lambda end=end: made.offsets(topic).get(0) == end, SECONDS, "the records to be committed")  # type: ignore[misc]
        topics.fill(topic, *((6, 0) if end == 4 else (0, 5)))
    wait_for(lambda: made.offsets(topic) == {0: 10, 1: 5}, SECONDS, "the last records to be committed")
    root = f"http://127.0.0.1:{port}"
    application = json.loads(get(f"{root}/api/v1/applications"))[0]["id"]
    batches = f"{root}/api/v1/applications/{application}/streaming/batches"
    wait_for(lambda: len(filled(batches)) >= 3, SECONDS, "Spark to list the batches")
    listed = filled(batches)
    assert sum(batch["inputSize"] for batch in listed) == 15
    first = min(listed, key=lambda batch: batch["batchTime"])
    page = get(f"{root}/streaming/batch/?id={first['batchId']}")
    assert f"topic: {topic}" in page
    assert "offsets: 0 to 4" in page
    assert run.process.poll() is None
    run.process.send_signal(signal.SIGTERM)
    assert run.wait().status == 0, run.said
    assert run.summary["exitReason"] == "drained on a signal"
    assert made.landed() == once(topic, {0: (0, 10), 1: (0, 5)})


def get(url: str) -> str:
    with urlopen(url, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def filled(url: str) -> list[dict[str, Any]]:
    """The completed batches with input, as Spark's REST API lists them."""
    try:
        listed = json.loads(get(url))
    except URLError:
        return []
    return [batch for batch in listed if batch["inputSize"] and batch["status"] == "COMPLETED"]


@pytest.mark.full
def test_older_spark(topics: Topics, job: Callable[..., Job], pyspark35: Path) -> None:
    """The same code on pyspark 3.5 lands each record once, and a worker's later tasks read no archive anew."""
    topic = topics.create()
    topics.fill(topic, 50, 30)
    made = job(topic, source__maxOffsetsPerTrigger="20", job__function="counting:told")
    (made.folder / "counting.py").write_text(COUNTING)
    launch = made.submit("--available-now", python=str(pyspark35))
    assert launch.wait() == 0, launch.output
    assert launch.summary["numInputRows"] == 80
    assert made.landed() == once(topic, {0: (0, 50), 1: (0, 30)})
    tasks = {(row["worker"], row["task"]): row["reads"] for row in made.rows()}
    assert len(tasks) > 2 * len({worker for worker, _ in tasks}), "workers are used again"
    assert set(tasks.values()) == {0}, "what Spark asks for before each task finds nothing to refresh"
