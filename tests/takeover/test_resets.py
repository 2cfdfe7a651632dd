"""Resets beside runs that are alive, frozen or dead, and beside each other: one generation or none, for every store."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from servers.daemon import is_stopped, wait_for
from tests.integration.jobs import SECONDS, Job, Topics, once
from tests.takeover.drivers import At, Drivers
from tests.takeover.stores import ALL_KINDS, contents, mostly, settings

RECORDS = 6  # a partition
PARTITIONS = 4
NAME = re.compile(r"\+p(\d+)\+(\d+)\+(\d+)\+g(\d+)e")
FREES = ("zookeeper", "hdfs")  # stores whose lock a frozen holder loses


@pytest.fixture(params=mostly("zookeeper", ALL_KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def made(
    request: pytest.FixtureRequest, kind: str, topics: Topics, job: Callable[..., Job], drivers: Drivers, tmp_path: Path
) -> Job:
    """A job of batches of half a topic of four partitions."""
    topics.fill(topic := topics.create(PARTITIONS), *[RECORDS] * PARTITIONS)
    more = {"source__maxOffsetsPerTrigger": str(RECORDS * PARTITIONS // 2), "offsets__session__timeout__ms": "2000"}
    return job(topic, **more, **settings(request, kind, tmp_path))


def topic_of(job: Job) -> str:
    return job.settings["source.subscribe"]


def spans(job: Job, generation: int) -> dict[int, tuple[int, int]]:
    """What the published files of a generation are named after, from the least to the greatest offset."""
    found: dict[int, list[int]] = {}
    for partition, first, until, begun in (map(int, m.groups()) for m in map(NAME.search, contents(job)) if m):
        if begun == generation:
            found.setdefault(partition, []).extend((first, until))
    return {partition: (min(ends), max(ends)) for partition, ends in sorted(found.items())}


def data(job: Job) -> dict[str, object]:
    """The published files."""
    return {name: mark for name, mark in contents(job).items() if not name.startswith("_")}


def state_of(job: Job) -> object:
    """What is staged nobody sees, and the next launch collects it."""
    return job.register_bytes(), {n: mark for n, mark in contents(job).items() if not n.startswith("_staging/")}


def test_a_live_run_is_refused_or_fenced_and_a_rewind_is_written_again(
    made: Job, topics: Topics, drivers: Drivers
) -> None:
    """Three partitions of four go back: exactly these records are there once more, in files of the new generation."""
    topic = topic_of(made)
    live = drivers.start(made.path)
    wait_for(lambda: made.offsets(topic) == dict.fromkeys(range(PARTITIONS), RECORDS), SECONDS, "the run to catch up")
    asked = ("--topic", f"{topic}:0,1,3", "--to-offset", "2", "--reason", "wrong rates")
    before, files = state_of(made), data(made)
    refused = drivers.reset(made.path, *asked).wait()
    assert (refused.status, state_of(made)) == (75, before), refused.said
    assert f"pid {live.process.pid}" in refused.complaints[0]

    forced = drivers.reset(made.path, *asked, "--force").wait()
    assert forced.status == 0, forced.said
    begun, known = made.register(), {0: 2, 1: 2, 2: RECORDS, 3: 2}
    assert (begun.generation, begun.topics[topic].offsets) == (1, known)
    assert begun.before is not None
    assert begun.before[topic].offsets == dict.fromkeys(range(PARTITIONS), RECORDS)
    assert "wrong rates" in begun.reason
    topics.fill(topic, 0, 0, 1)
    assert live.wait().status == 75, live.said
    assert (made.register(), data(made)) == (begun, files)

    assert drivers.run(made.path).status == 0
    again = {p: (2, RECORDS) for p in (0, 1, 3)}
    assert spans(made, 1) == {**again, 2: (RECORDS, RECORDS + 1)}
    assert made.landed() == once(topic, dict.fromkeys(range(PARTITIONS), (0, RECORDS))) + once(topic, spans(made, 1))
    assert files.items() <= data(made).items(), "what was published stays as it was"


@pytest.mark.parametrize("point", mostly("publish.before", ("publish.before", "prepare.before", "commit.before")))
def test_a_frozen_run_that_wakes_is_fenced(made: Job, drivers: Drivers, kind: str, point: str) -> None:
    """What it has prepared is published before the offsets move; woken, it changes nothing."""
    frozen = drivers.start(made.path, "--available-now", prelude=At(point, "freeze"))
    wait_for(lambda: is_stopped(frozen.process.pid), SECONDS, f"the driver to stop at {point}")
    asked = ("--all-topics", "--to-offset", "1", *(() if kind in FREES else ("--force",)))
    wait_for(lambda: drivers.reset(made.path, *asked).wait().status != 75, SECONDS, "a reset to get the lock")
    assert drivers.started[-1].status == 0, drivers.started[-1].said
    prepared = point != "prepare.before"
    assert (made.register().seq, len(data(made)) > 0) == (int(prepared), prepared)
    before = state_of(made)
    frozen.process.send_signal(signal.SIGCONT)
    assert frozen.wait().status == 75, frozen.said
    assert state_of(made) == before

    assert drivers.run(made.path).status == 0
    first = {p: (0, RECORDS // 2) for p in range(PARTITIONS)} if prepared else {}
    assert (spans(made, 0), spans(made, 1)) == (first, dict.fromkeys(range(PARTITIONS), (1, RECORDS)))
    assert made.landed() == once(topic_of(made), first) + once(topic_of(made), spans(made, 1))


@pytest.mark.parametrize("more", [(), pytest.param(("--force",), marks=pytest.mark.full)], ids=["locked", "forced"])
def test_two_resets_at_once(made: Job, drivers: Drivers, more: tuple[str, ...]) -> None:
    """Behind a dead run that has left a batch prepared: one after the other, or one of them 75; never mixed."""
    topic = topic_of(made)
    assert drivers.run(made.path, At("publish.each")).status == -9
    starts = [lambda go, n=n: drivers.reset(made.path, "--all-topics", "--to-offset", n, *more, go=go) for n in "12"]
    ended = [each.wait() for each in drivers.released(starts, made.folder)]
    done = {n: process.status == 0 for n, process in enumerate(ended, 1)}
    assert all(process.status in (0, 75) for process in ended), "\n".join(process.said for process in ended)
    state, committed = made.register(), {p: RECORDS // 2 for p in range(PARTITIONS)}
    assert (state.generation, state.seq, state.pending) == (sum(done.values()), 1, None)
    possible = [(n, committed) for n in done if done[n]] if sum(done.values()) == 1 else [(1, 2), (2, 1)]
    assert state.before is not None
    found = state.topics[topic].offsets, state.before[topic].offsets
    assert found in [tuple(everywhere(each) for each in pair) for pair in possible]
    assert spans(made, 0) == {p: (0, RECORDS // 2) for p in range(PARTITIONS)}


def everywhere(offset: int | dict[int, int]) -> dict[int, int]:
    return offset if isinstance(offset, dict) else dict.fromkeys(range(PARTITIONS), offset)
