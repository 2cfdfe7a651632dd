"""A crash at every failpoint that a run passes, then one clean launch: each profile keeps its promise, and no more.

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
from offsets.filesystems import open_filesystem
from offsets.manager import OffsetManager, current_owner
from offsets.planning import plan
from offsets.profiles import PROFILES, STAGED
from offsets.rate import Limits
from offsets.snapshot import TopicSnapshot
from offsets.starting import starting_topics
from offsets.stores import open_store
from offsets.structs import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, GUARANTEES, OffsetRange, State
from streaming.config.job import JobConfig
from streaming.config.reading import load
from streaming.formats import open_format
from streaming.run.admission import admit
from streaming.run.batch import Batch, Stopwatch
from streaming.run.committer import Committer
from streaming.sinks.file import StagedFileSink, open_sink
from streaming.sinks.names import StagingPlace
from streaming.sinks.staging import Block
from streaming.tasks.result import TaskResult
from streaming.verification.findings import Verdict
from streaming.verification.verify import verify
from tests.unit.job_file import JOB

PARTITIONS, RECORDS, BATCH = 2, 6, 4
SNAPSHOT = {"t": TopicSnapshot("id", {p: (0, RECORDS) for p in range(PARTITIONS)})}
IDS = {f"{p}-{o}" for p in range(PARTITIONS) for o in range(RECORDS)}


class Crash(BaseException):
    """The process is gone."""


class World:
    """What survives a crash: two folders.  `in_flight`: the records of the batches that crashes have hit."""

    def __init__(self, folder: Path, guarantee: str = EXACTLY_ONCE) -> None:
        folder.mkdir()
        self.lake, self.moved, self.guarantee = folder / "lake", folder / "moved", guarantee
        self.config: JobConfig = load("crash.cfg", JOB.format(folder=folder), ["source.subscribe=t"], {})
        self.in_flight: set[str] = set()

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
        committer = Committer(manager, sink, profile=PROFILES[self.guarantee, STAGED])
        committer.redo()
        sink.refuse_logged(manager.state.generation, manager.state.seq)
        committer.collect_garbage()
        while (planned := plan(manager.state.topics, SNAPSHOT, Limits(BATCH))).ranges:
            state = manager.state
            place = StagingPlace(state.generation, state.epoch, state.seq)
            tasks = partial(self.stage, sink, place, planned.ranges, state)
            before, self.in_flight = self.in_flight, self.in_flight | ids(planned.ranges)
            committer.run(Batch(planned, place, 1), tasks, Stopwatch())
            self.in_flight = before
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

    def verified(self) -> Verdict:
        sink = open_filesystem(self.config.sink_path)
        return verify(open_store(self.config.store), sink, self.moved.exists(), guarantee=self.guarantee)

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


def ids(ranges: Sequence[OffsetRange]) -> set[str]:
    return {f"{r.partition}-{offset}" for r in ranges for offset in range(r.from_offset, r.until_offset)}


@pytest.fixture(params=GUARANTEES)
def worlds(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Fresh worlds without end."""
    return (World(tmp_path / str(n), request.param) for n in itertools.count())


def check(world: World, story: str) -> tuple[set[str], set[str]]:
    """A clean launch ends with nothing pending, nothing left in staging, and with what the guarantee promises.

    Gives the records that are doubled and lost.
    """
    if world.guarantee != EXACTLY_ONCE:
        found = [f for f in world.verified().findings if f.kind != "left-over"]  # by launches that died before `gc`
        assert found == [], story
    state, hit = world.launch(), frozenset(world.in_flight)
    assert (state.pending, state.topics["t"].offsets) == (None, dict.fromkeys(range(PARTITIONS), RECORDS)), story
    staging = world.lake / "_staging"
    assert not [f for f in staging.rglob("*") if f.is_file() and f.parent != staging], story
    published = world.published()
    doubled, lost = {each for each, times in published.items() if times > 1}, IDS - published.keys()
    assert published.keys() <= IDS
    assert doubled <= (hit if world.guarantee == AT_LEAST_ONCE else set()), story
    assert lost <= (hit if world.guarantee == AT_MOST_ONCE else set()), story
    check_log(world, state, story)
    if world.guarantee != EXACTLY_ONCE:
        check_verdict(world, doubled, lost, story)
    return doubled, lost


def check_verdict(world: World, doubled: set[str], lost: set[str], story: str) -> None:
    """Verification has no finding, tells of what is repeated, and names what is lost, and nothing but what may be."""
    verdict = world.verified()
    assert verdict.findings == (), story
    if not world.moved.exists():
        holes = ids([OffsetRange(*hole[2:]) for hole in verdict.holes])
        before = ids([OffsetRange("t", v.partition, 0, v.from_offset) for v in verdict.vouched])  # the log's beginning
        assert lost <= holes | before, story
        assert holes <= world.in_flight, story
        assert not doubled or verdict.counts.repeated or verdict.counts.older, story


def check_log(world: World, state: State, story: str) -> None:
    """The batch log has no gap, unless the guarantee is a weaker one: then only batches that a crash has hit lack."""
    log = world.logged()
    if world.guarantee == EXACTLY_ONCE:
        assert [seq for seq, _ in log] == list(range(state.seq)), story
    for p in range(PARTITIONS):
        spans = [(r.from_offset, r.until_offset) for _, ranges in log for r in ranges if r.partition == p]
        assert [b for _, b in spans[:-1]] <= [a for a, _ in spans[1:]], story
        covered = {f"{p}-{offset}" for a, b in spans for offset in range(a, b)}
        unlogged = {each for each in IDS if each.startswith(f"{p}-")} - covered
        assert unlogged <= (set() if world.guarantee == EXACTLY_ONCE else world.in_flight), story


def second_batch(guarantee: str, names: Sequence[str]) -> list[int]:
    """Hits of its failpoints, of each name the first and the last; under exactly-once those of the whole launch."""
    hits = range(len(names))
    if guarantee != EXACTLY_ONCE:
        begin = PROFILES[guarantee, STAGED].steps[0].failpoints[0]
        second, third = (hit for hit, name in enumerate(names) if name == begin and hit != names.index(begin))
        hits = range(second, third)
    first, last = {names[hit]: hit for hit in reversed(hits)}, {names[hit]: hit for hit in hits}
    return sorted({*first.values(), *last.values()})


def test_a_crash_at_every_failpoint(worlds: Iterator[World]) -> None:
    """One crash anywhere, also while a first launch is half made.  What a weaker guarantee permits really happens.

    Of the weaker ones only those of the second batch: all others are the same for all.
    """
    first = next(worlds)
    names, doubled, lost = first.launch_until(10**6), set[str](), set[str]()
    assert len(names) > 100
    steps = {point for step in PROFILES[first.guarantee, STAGED].steps for point in step.failpoints}
    assert steps <= set(names)
    for hit in second_batch(first.guarantee, names):
        world = next(worlds)
        assert world.launch_until(hit) == names[: hit + 1]
        twice, never = check(world, f"crash at {names[hit]}, hit {hit}")
        doubled |= twice
        lost |= never
    assert (bool(doubled), bool(lost)) == (first.guarantee == AT_LEAST_ONCE, first.guarantee == AT_MOST_ONCE)


@pytest.mark.parametrize("consumed", [False, True])
def test_crashes_on_crashes(worlds: Iterator[World], consumed: bool) -> None:
    """Launches that crash one after the other at random places, in redo as well; files may be moved away at once."""
    seed = random.randrange(10**6)
    choose = random.Random(seed)
    seen: set[str] = set()
    first = next(worlds)
    for story in range(12 if first.guarantee == EXACTLY_ONCE else 4):
        world = next(worlds)
        for _ in range(4):
            seen.update(world.launch_until(choose.randrange(120)))
            if consumed:
                world.consume()
        check(world, f"seed {seed}, story {story}")
    assert ("redo.manifest" in seen) == (world.guarantee == EXACTLY_ONCE)


@pytest.mark.parametrize("then", GUARANTEES)
def test_the_guarantee_is_changed_between_launches(worlds: Iterator[World], then: str) -> None:
    """What a crash left behind is finished, or given up, as the guarantee said under which it was begun."""
    first = next(worlds)
    names, guarantee = first.launch_until(10**6), first.guarantee
    decided = [names.index("prepare.after")] if guarantee == EXACTLY_ONCE else []  # and not even logged
    others = [hit for hit in second_batch(guarantee, names) if hit >= names.index("stage.before")]
    for hit in (*decided, *random.sample(others, 0 if guarantee == then else 4)):
        world = next(worlds)
        world.launch_until(hit)
        world.guarantee = then
        state, story = world.launch(), f"{guarantee}, crash at {names[hit]}, hit {hit}, then {then}"
        assert (state.pending, state.topics["t"].offsets) == (None, dict.fromkeys(range(PARTITIONS), RECORDS)), story
        published = world.published()
        doubled, lost = {each for each, times in published.items() if times > 1}, IDS - published.keys()
        assert doubled <= (world.in_flight if guarantee == AT_LEAST_ONCE else set()), story
        assert lost <= (world.in_flight if guarantee == AT_MOST_ONCE else set()), story
        assert world.verified().findings == (), story
        if guarantee == EXACTLY_ONCE:
            assert [seq for seq, _ in world.logged()] == list(range(state.seq)), story
