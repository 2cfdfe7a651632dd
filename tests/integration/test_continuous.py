"""Continuous runs on real Spark and Kafka: rates over wall time, a drain, and a duration, while records keep coming."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from servers.daemon import wait_for
from streaming.run.runner import TICK_SECONDS
from tests.integration.jobs import SECONDS, Job, Topics, once
from tests.integration.test_spark import entries

INTERVAL_MS, RATE = 500, 40  # a partition may have 20 records a batch
BACKLOG = 1000  # more than a slow machine reads at that rate before the test looks


@contextmanager
def flowing(topics: Topics, topic: str) -> Iterator[None]:
    """Two records more for each partition, ten times a second."""
    over = threading.Event()

    def flow() -> None:
        while not over.wait(0.1):
            topics.fill(topic, 2, 2)

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SECONDS)


def times_and_sizes(job: Job) -> list[tuple[float, list[int]]]:
    """When each batch was planned, to a tick, and how many offsets of each partition it had."""
    return [
        (entry["time_ms"] / 1000, [until - first for *_, first, until in entry["ranges"]]) for entry in entries(job)
    ]


def test_rates_hold_over_wall_time_and_runs_end_when_told(topics: Topics, job: Callable[..., Job]) -> None:
    """A backlog is read no faster than at the rate that is set, until SIGTERM; without one at once, for a duration."""
    topic = topics.create()
    topics.fill(topic, BACKLOG, BACKLOG)
    rate = "spark.spark.streaming.kafka.maxRatePerPartition"
    made = job(topic, job__batchInterval__ms=str(INTERVAL_MS), **{rate: str(RATE)})
    with flowing(topics, topic):
        run = made.start()
        wait_for(lambda: made.offsets(topic).get(0, 0) >= 160, SECONDS, "eight batches")
        run.process.send_signal(signal.SIGTERM)
        assert run.wait().status == 0, run.said
        assert run.summary["exitReason"] == "drained on a signal"
        limited = times_and_sizes(made)
        assert {n for _, sizes in limited for n in sizes} == {RATE * INTERVAL_MS // 1000}
        (first, _), *later = limited
        for batch, (time, _) in enumerate(later, 1):
            assert time - first >= batch * INTERVAL_MS / 1000 - TICK_SECONDS
        assert made.register().pending is None
        before = made.offsets(topic)

        run = made.start("--set", f"{rate}=0", "--duration", "3s").wait()
        assert (run.status, run.summary["exitReason"]) == (0, "drained after the 3 s of --duration"), run.said
        assert run.summary["durationMs"]["run"] >= 3000
        _, backlog = times_and_sizes(made)[len(limited)]
        assert sum(backlog) >= 2 * BACKLOG - sum(before.values()), "all at once"
    committed = made.offsets(topic)
    assert all(committed[p] > BACKLOG for p in (0, 1))
    assert made.landed() == once(topic, {p: (0, end) for p, end in committed.items()})
