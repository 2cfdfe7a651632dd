"""A wall clock that is a day wrong, now ahead and now behind: nothing of a job depends on it (failure mode S11)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, Topics, once
from tests.takeover.drivers import At, Drivers
from tests.takeover.stores import contents, mostly, places

RECORDS = 4  # a partition and launch
DAY = 86_400


@dataclass(frozen=True)
class Clock:
    """A prelude: the wall clock is off by so many seconds; perhaps a second prelude follows."""

    seconds: int
    then: Callable[[], object] | None = None

    def __call__(self) -> None:
        wall, wall_ns = time.time, time.time_ns
        time.time = lambda: wall() + self.seconds
        time.time_ns = lambda: wall_ns() + self.seconds * 1_000_000_000
        if self.then is not None:
            self.then()


@pytest.mark.parametrize("kind", mostly("file"))
def test_a_day_ahead_and_a_day_behind(
    kind: str,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    topics: Topics,
    job: Callable[..., Job],
    drivers: Drivers,
    tmp_path: Path,
) -> None:
    """Launches, crashes, redo, the lock of a dead holder and of a living one: as with a clock that is right."""
    topic = topics.create()
    made = job(topic, offsets__session__timeout__ms="4000", **places(kind, "job", tmp_path, zookeeper, hdfs))
    made.gate()
    made.open_gate()
    times: list[int] = []
    for number, (off, dies) in enumerate([(DAY, ""), (-DAY, "prepare.after"), (DAY, "commit.after"), (-DAY, "")], 1):
        topics.fill(topic, RECORDS, RECORDS)
        ran = drivers.run(made.path, Clock(off, At(dies) if dies else None))
        assert ran.status == (-9 if dies else 0), f"launch {number}: {ran.said}"
        times.append(made.register().time_ms)
    assert times != sorted(times), "no clock was wrong: this proves nothing"
    assert made.register().epoch == 4
    assert made.landed() == once(topic, {0: (0, 4 * RECORDS), 1: (0, 4 * RECORDS)})
    second_while_first_works(made, topics, drivers)


def second_while_first_works(made: Job, topics: Topics, drivers: Drivers) -> None:
    """Two drivers whose clocks are two days apart: the living one is not taken for dead."""
    topic = made.settings["source.subscribe"]
    topics.fill(topic, RECORDS, RECORDS)
    (made.folder / "open").unlink()
    made.forget_waiting()
    first = drivers.start(made.path, "--available-now", prelude=Clock(-DAY))
    made.wait_in_flight()
    before = made.register_bytes(), contents(made)
    second = drivers.run(made.path, Clock(DAY))
    assert second.status == 75, second.said
    assert (made.register_bytes(), contents(made)) == before
    made.open_gate()
    assert first.wait().status == 0, first.said
    assert made.landed() == once(topic, {0: (0, 5 * RECORDS), 1: (0, 5 * RECORDS)})
