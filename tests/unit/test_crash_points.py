"""A crash at every failpoint that a run passes, then one clean launch: each record is published exactly once.

The product's own admission, committer, manager, file store and file sink, on a local disk, without Spark and Kafka.  A
crash is an exception that nothing catches; SIGKILL on the real thing is the business of tests/crash.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from offsets import failpoints
from offsets.codec import decode_manifest
from offsets.manager import OffsetManager, current_owner
from offsets.planning import TopicSnapshot, plan
from offsets.rate import Limits
from offsets.starting import starting_topics
from offsets.stores import open_store
from offsets.structs import OffsetRange, State
from streaming.config.job import JobConfig
from streaming.config.reading import load
from streaming.formats import open_format
from streaming.run.admission import admit
from streaming.run.committer import Batch, Committer, Stopwatch
from streaming.sinks.file import StagedFileSink, open_sink
from streaming.sinks.names import StagingPlace
from streaming.sinks.staging import Block
from streaming.tasks.result import TaskResult
from tests.unit.job_file import JOB

PARTITIONS, RECORDS, BATCH = 2, 6, 4
SNAPSHOT = {"t": TopicSnapshot("id", {p: (0, RECORDS) for p in range(PARTITIONS)})}
IDS = {f"{p}-{o}" for p in range(PARTITIONS) for o in range(RECORDS)}


class Crash(BaseException):
    """The process is gone."""


class World:
    """What survives a crash: two folders."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.lake, self.moved = folder / "lake", folder / "moved"
        self.config: JobConfig = load("crash.cfg", JOB.format(folder=folder), ["source.subscribe=t"], {})

    def launch(self) -> State:
        """One driver, from admission to the end of the topic."""
        sink = open_sink(self.config.sink_path)
        manager = OffsetManager(open_store(self.config.store), current_owner("run"))
        admit(
            self.config,
            manager,
            sink,
            manager.read(),
            partial(starting_topics, "earliest", SNAPSHOT),
            lambda topics: None,
        )
        committer = Committer(manager, sink)
        committer.redo()
        sink.refuse_logged(manager.state.generation, manager.state.seq)
        committer.collect_garbage()
        while (planned := plan(manager.state.topics, SNAPSHOT, Limits(BATCH))).ranges:
            state = manager.state
            place = StagingPlace(state.generation, state.epoch, state.seq)
            results = self.stage(sink, place, planned.ranges, state)
            committer.commit(Batch(planned, place, 1), results, Stopwatch())
        return manager.state

    def stage(
        self, sink: StagedFileSink, place: StagingPlace, ranges: Sequence[OffsetRange], state: State
    ) -> Sequence[TaskResult]:
        return [stage(sink, place, range_) for range_ in ranges]

    def launch_until(self, hit: int) -> list[str]:
        """A launch that crashes at the `hit`-th failpoint (from 0; never if it is beyond).  The names passed."""
        passed: list[str] = []

        def crash(name: str) -> None:
            passed.append(name)
            if len(passed) > hit:
                raise Crash(name)

        failpoints.arm(crash)
        try:
            self.launch()
        except Crash:
            pass
        finally:
            failpoints.arm(None)
        return passed

    def visible(self) -> list[Path]:
        """What a plain listing shows."""
        files = [f for f in self.lake.rglob("*.json") if not f.relative_to(self.lake).parts[0].startswith("_")]
        return [*files, *self.moved.rglob("*.json")]

    def consume(self) -> None:
        """A consumer moves everything that is visible away; a name that comes twice would stop it."""
        self.moved.mkdir(exist_ok=True)
        for file in self.visible():
            if file.parent != self.moved:
                name = str(file.relative_to(self.lake)).replace("/", "!")
                assert not (self.moved / name).exists()
                file.rename(self.moved / name)

    def published(self) -> Counter[str]:
        """How often each record stands in a visible file."""
        return Counter(json.loads(line)["id"] for f in self.visible() for line in f.read_bytes().splitlines())

    def logged(self) -> list[tuple[int, tuple[OffsetRange, ...]]]:
        entries = sorted((self.lake / "_batches").rglob("*.json"))
        manifests = [decode_manifest(e.read_bytes()) for e in entries]
        return [(m.seq, m.ranges) for m in manifests]


def stage(sink: StagedFileSink, place: StagingPlace, range_: OffsetRange) -> TaskResult:
    """What a task does with its range: every other record goes to another folder."""
    json_lines, rows = open_format("json"), dict[str, list[dict[str, str]]]()
    for offset in range(range_.from_offset, range_.until_offset):
        rows.setdefault("odd" if offset % 2 else "even", []).append({"id": f"{range_.partition}-{offset}"})
    groups = {folder: Block(json_lines.block(found, None), len(found), json_lines) for folder, found in rows.items()}
    return TaskResult(range_, tuple(sink.stage(place, range_, [groups])), range_.size(), 0, 0)


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[World]:
    """Fresh worlds without end."""
    return (World(tmp_path / str(n)) for n in itertools.count())


def check(world: World, story: str) -> None:
    """A clean launch ends with every record once, a gap-free batch log, nothing pending and nothing left in staging."""
    state = world.launch()
    assert world.published() == Counter(IDS), story
    assert (state.pending, state.topics["t"].offsets) == (None, dict.fromkeys(range(PARTITIONS), RECORDS)), story
    log = world.logged()
    assert [seq for seq, _ in log] == list(range(state.seq)), story
    for p in range(PARTITIONS):
        spans = [(r.from_offset, r.until_offset) for _, ranges in log for r in ranges if r.partition == p]
        assert [a for a, _ in spans] == [0, *(b for _, b in spans[:-1])], story
    staging = world.lake / "_staging"
    assert not [f for f in staging.rglob("*") if f.is_file() and f.parent != staging], story


def test_a_crash_at_every_failpoint(worlds: Iterator[World]) -> None:
    """One crash anywhere, also while a first launch is half made."""
    names = next(worlds).launch_until(10**6)
    assert len(names) > 100
    for hit, name in enumerate(names):
        world = next(worlds)
        assert world.launch_until(hit) == names[: hit + 1]
        check(world, f"crash at {name}, hit {hit}")


@pytest.mark.parametrize("consumed", [False, True])
def test_crashes_on_crashes(worlds: Iterator[World], consumed: bool) -> None:
    """Launches that crash one after the other at random places, in redo as well; files may be moved away at once."""
    seed = random.randrange(10**6)
    choose = random.Random(seed)
    seen: set[str] = set()
    for story in range(25):
        world = next(worlds)
        for _ in range(4):
            seen.update(world.launch_until(choose.randrange(120)))
            if consumed:
                world.consume()
        check(world, f"seed {seed}, story {story}")
    assert "redo.manifest" in seen
