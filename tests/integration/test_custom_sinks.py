"""Sinks of the user's on real Spark and Kafka: batch-wise ones, and all that can be wrong with either kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from tests.integration.jobs import Job, Topics, once

# Each does one thing wrong, at the line that says so.
SINKS = """
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streaming.custom_sinks import each_batch, each_partition

FOLDER = Path({folder!r})


def keep(records):
    records = list(records)
    with open(FOLDER / f"got-{{records[0].topic}}-{{records[0].partition}}-{{time.time_ns()}}", "w") as got:
        got.writelines(f"{{r.topic}} {{r.partition}} {{r.offset}}\\n" for r in records)


@each_batch(idempotent=True)
def good(batch, rdd):
    assert len(batch.ranges) == rdd.getNumPartitions() == 2 and len(batch.id) == 32
    assert [tuple(r) for r in rdd.offsetRanges()] == [tuple(r) for r in batch.ranges]
    cached = rdd.map(lambda record: record).cache()
    cached.foreachPartition(keep)
    assert cached.count() == sum(r.until_offset - r.from_offset for r in batch.ranges)


@each_batch(idempotent=True)
def raises(batch, rdd):
    rdd.count()
    raise ValueError("no room")  # here: raises


@each_batch(idempotent=True)
def raises_there(batch, rdd):
    def put(records):
        for record in records:
            raise ValueError("no room there")  # here: raises_there

    rdd.foreachPartition(put)


@each_batch(idempotent=True)
def unpicklable(batch, rdd):
    lock = threading.Lock()
    rdd.foreachPartition(lambda records: [lock for _ in records])  # here: unpicklable


@each_batch(idempotent=True)
def hangs(batch, rdd):
    time.sleep(3600)  # here: hangs


@each_batch(idempotent=True)
def hangs_in_a_pool(batch, rdd):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 3600).result()  # here: hangs_in_a_pool


@each_batch(idempotent=True)
def hangs_in_a_job(batch, rdd):
    rdd.foreach(lambda record: time.sleep(3600))  # here: hangs_in_a_job


@each_partition(idempotent=True)
def hangs_there(offset_range, records):
    for record in records:
        try:
            time.sleep(3600)  # here: hangs_there
        except Exception:
            pass


@each_partition(idempotent=True)
def cannot_be_interrupted(offset_range, records):
    list(records)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


@each_batch(idempotent=True)
def reads_a_part(batch, rdd):
    rdd.take(1)


@each_batch(idempotent=True)
def returns(batch, rdd):
    return rdd.count()


@each_batch(idempotent=False)
def reads_twice(batch, rdd):
    rdd.count()
    rdd.count()  # here: reads_twice
"""


def line_of(job: Job, case: str) -> str:
    lines = (job.folder / "own.py").read_text().splitlines()
    return f"own.py:{1 + next(n for n, line in enumerate(lines) if line.endswith(f'# here: {case}'))}"


def custom(job: Job) -> Job:
    """Its sinks lie beside its job file."""
    (job.folder / "own.py").write_text(SINKS.format(folder=str(job.folder)))
    job.settings.pop("sink.format", None)
    job.write()
    return job


def got(job: Job) -> Counter[tuple[str, int, int]]:
    lines = (line.split() for path in job.folder.glob("got-*") for line in path.read_text().splitlines())
    return Counter((topic, int(partition), int(offset)) for topic, partition, offset in lines)


WRONG = {
    "raises": r"own:raises raised ValueError: no room at \S*{line};",
    "raises_there": r"own:raises_there: ValueError: no room there at \S*{line}, on an executor;",
    "unpicklable": r"own:unpicklable raised .*Pickl.*'_thread.lock'.* at \S*{line};",
    "hangs": r"own:hangs was not done with batch 0 within 20 s \(sink.timeout.ms\): it was at \S*{line};",
    "hangs_in_a_pool": r"own:hangs_in_a_pool was not done with batch 0 within 20 s .*: it was at \S*{line};",
    "hangs_in_a_job": r"own:hangs_in_a_job was not done with batch 0 within 20 s .*: it was at \S*{line};",
    "hangs_there": r"own:hangs_there was not done with {topic}-\d\[0,\d+\) within 20 s .*: it was at \S*{line};",
    "cannot_be_interrupted": r"own:cannot_be_interrupted may have hung .* is ended 10 s after sink.timeout.ms = 20000",
    "reads_a_part": r"own:reads_a_part returned before all records were read of .*{topic}-1\[0,10\)",
    "returns": r"own:returns returned a int, and must return nothing: it lies at \S*own.py:\d+",
}


@pytest.mark.full
@pytest.mark.timeout(900)
def test_what_a_sink_does_wrong_is_told_with_its_line(topics: Topics, job: Callable[..., Job]) -> None:
    """Raised on the driver or on executors, not picklable, hung, unread, returned: the run stops with exit 1, says
    which function and line, and the register has the batch's ranges pinned, no more; a sink that is right goes on."""
    topic = topics.create()
    topics.fill(topic, 15, 10)
    orders = custom(job(topic))
    for case, told in WRONG.items():
        orders.write(sink__class=f"own:{case}")
        run = orders.run(*["--set", "sink.timeout.ms=20000"] * ("20" in told))
        assert run.status == 1, run.said
        (complaint,) = run.complaints
        line = line_of(orders, case) if "{line}" in told else ""
        assert re.search(told.format(line=line, topic=topic), complaint), run.said
        assert "writes exactly these ranges again" in complaint, run.said
        assert run.summary["exitStatus"] == 1
        register = orders.register()
        assert register.pending is not None
        assert [str(r) for r in register.pending.ranges] == [f"{topic}-0[0,15)", f"{topic}-1[0,10)"]
        assert register.topics[topic].offsets == {0: 0, 1: 0}
        assert not list((orders.lake / "_batches").rglob("*.json"))
    topics.fill(topic, 1, 1)
    orders.write(sink__class="own:good")
    run = orders.run()
    assert run.status == 0, run.said
    assert got(orders) == once(topic, {0: (0, 16), 1: (0, 11)})
    batches = [r"batch 0: 25 records", r"batch 1: 2 records"]
    assert all(re.search(batch, run.stderr) for batch in batches), run.said


@pytest.mark.full
def test_a_range_is_read_by_one_action_under_at_most_once(topics: Topics, job: Callable[..., Job]) -> None:
    """A second action would be a second attempt: refused by name; with cache() it reads nothing again."""
    topic = topics.create()
    topics.fill(topic, 15, 10)
    orders = custom(job(topic, job__delivery__guarantee="at-most-once", sink__class="own:reads_twice"))
    run = orders.run()
    assert run.status == 1, run.said
    assert "a second attempt of the task" in run.complaints[0], run.said
    assert "lost" in run.complaints[0], run.said
    assert orders.offsets(topic) == {0: 15, 1: 10}
    topics.fill(topic, 15, 10)
    orders.write(sink__class="own:good")
    run = orders.run()
    assert run.status == 0, run.said
    assert got(orders) == once(topic, {0: (15, 30), 1: (10, 20)})
    assert run.summary["numInputRows"] == 25
