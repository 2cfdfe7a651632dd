"""Batches of direct sinks on the driver: what the register says while tasks write, and how a pending one is redone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from offsets.errors import DataLossError, LostBatchError, UnavailableError
from offsets.filesystems import LocalFilesystem
from offsets.manager import OffsetManager, current_owner
from offsets.planning import Plan
from offsets.profiles import DIRECT, PROFILES
from offsets.stores.base import MemoryStore
from offsets.structs import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, GUARANTEES, Loss, OffsetRange, State, TopicState
from streaming.run.batch import Batch, Stopwatch, manifest_of
from streaming.run.committer import Committer
from streaming.run.pacing import Pace, Pacing
from streaming.run.pending import written_again
from streaming.run.runner import Drain, Runner
from streaming.sinks.batch_log import logged_numbers
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.tasks.result import TaskResult
from tests.contract.lakes import killed_at

RANGES = (OffsetRange("t", 0, 0, 10), OffsetRange("t", 1, 0, 5))


class Broken(Exception):
    """What tasks raise."""


class World:
    """One register and one sink, over which drivers come and go."""

    def __init__(self, folder: Path) -> None:
        self.store, self.sink = MemoryStore(), StagedFileSink(LocalFilesystem(f"{folder}/lake"))
        manager = OffsetManager(self.store, current_owner("first"))
        manager.read()
        manager.create("a" * 32, {"t": TopicState("id", {0: 0, 1: 0})})

    def driver(self, guarantee: str) -> tuple[OffsetManager, Committer]:
        manager = OffsetManager(self.store, current_owner("run"))
        manager.read()
        manager.take()
        return manager, Committer(manager, self.sink, profile=PROFILES[guarantee, DIRECT])

    @property
    def logged(self) -> list[int]:
        return logged_numbers(self.sink.filesystem, 0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def batch_of(state: State, plan: Plan | None) -> Batch:
    plan = plan or Plan(RANGES, state.topics)
    return Batch(plan, StagingPlace(state.generation, state.epoch, state.seq), 1_700_000_000_000)


def given(ranges: Sequence[OffsetRange]) -> list[TaskResult]:
    return [TaskResult(r, (), r.size(), 0, 0, written=r.size()) for r in ranges]


def run(world: World, guarantee: str, while_writing: Callable[[State], object], redo: bool = False) -> State:
    """One driver's one batch; the register afterwards."""
    manager, committer = world.driver(guarantee)
    plan = written_again(manager.state) if redo else None
    assert redo == (plan is not None)
    batch = batch_of(manager.state, plan)

    def tasks() -> list[TaskResult]:
        while_writing(manager.state)
        return given(batch.plan.ranges)

    committer.run(batch, tasks, Stopwatch())
    return manager.state


def broken(_: State) -> None:
    raise Broken


def until(state: State) -> dict[int, int]:
    return dict(state.topics["t"].offsets)


WHILE = {EXACTLY_ONCE: ({0: 0, 1: 0}, RANGES), AT_LEAST_ONCE: ({0: 0, 1: 0}, ()), AT_MOST_ONCE: ({0: 10, 1: 5}, ())}


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_what_the_register_says_while_tasks_write(world: World, guarantee: str) -> None:
    """The ranges pinned, nothing at all, or already the end; afterwards always the end, and an entry in the log."""
    seen: list[State] = []
    after = run(world, guarantee, seen.append)
    pending = seen[0].pending
    assert (until(seen[0]), pending.ranges if pending else ()) == WHILE[guarantee]
    assert pending is None or pending.manifest is None
    assert (until(after), after.pending, after.seq) == ({0: 10, 1: 5}, None, 1)
    assert world.logged == [0]


def test_a_failed_batch_is_pending_free_or_lost(tmp_path: Path) -> None:
    """Exactly-once leaves its ranges pinned, at-least-once the register as it was; at-most-once names what is lost."""
    for guarantee, error in ((EXACTLY_ONCE, Broken), (AT_LEAST_ONCE, Broken), (AT_MOST_ONCE, LostBatchError)):
        world = World(tmp_path / guarantee)
        with pytest.raises(error) as raised:
            run(world, guarantee, broken)
        assert error is Broken or "t-0[0,10), t-1[0,5)" in str(raised.value)
        manager, _ = world.driver(guarantee)
        assert (manager.state.pending is not None) == (guarantee == EXACTLY_ONCE)
        assert until(manager.state) == ({0: 10, 1: 5} if guarantee == AT_MOST_ONCE else {0: 0, 1: 0})
        assert world.logged == []


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_pending_batch_is_written_and_committed_by_any_guarantee(world: World, guarantee: str) -> None:
    """The very ranges, which stay pinned meanwhile; then the next batch is an ordinary one."""
    with pytest.raises(Broken):
        run(world, EXACTLY_ONCE, broken)
    seen: list[State] = []
    after = run(world, guarantee, seen.append, redo=True)
    assert seen[0].pending is not None
    assert seen[0].pending.ranges == RANGES
    assert (until(after), after.pending) == ({0: 10, 1: 5}, None)
    assert world.logged == [0]


def test_a_redo_that_fails_loses_nothing(world: World) -> None:
    """Also under at-most-once, and if the outcome is not known: the batch stays pending for the next launch."""
    with pytest.raises(Broken):
        run(world, EXACTLY_ONCE, broken)

    def away(_: State) -> None:
        raise UnavailableError("away")

    with pytest.raises(UnavailableError):
        run(world, AT_MOST_ONCE, away, redo=True)
    run(world, AT_MOST_ONCE, lambda _: None, redo=True)


class Asked:
    """A planner that has nothing new, and finds `lost` when it is asked about ranges that were read."""

    skips = False
    latest: dict[Any, int] = {}  # noqa: RUF012

    def __init__(self, *lost: Loss) -> None:
        self.lost = lost

    def next(self, cursor: Any) -> Plan:
        return Plan((), cursor)

    def confirm(self, plan: Plan) -> None:
        if self.lost:
            raise DataLossError(self.lost, "launch again for the remedy")

    def learn(self, batch: Any) -> None: ...


def runner_of(manager: OffsetManager, committer: Committer, planner: Asked, tasks: Callable[[Any], Any]) -> Runner:
    return Runner(
        manager,
        planner,  # type: ignore[arg-type]
        committer,
        lambda rdd, place: tasks(rdd),
        lambda report: None,
        Drain(),
        Pacing(Pace(0.0, to_ends=True)),
    )


def test_a_run_begins_with_the_pending_batch(world: World) -> None:
    """Whatever else Kafka has by now: what is new is planned once those ranges are committed."""
    with pytest.raises(Broken):
        run(world, EXACTLY_ONCE, broken)
    manager, committer = world.driver(EXACTLY_ONCE)
    runner = runner_of(manager, committer, Asked(), given)
    first = datetime(2026, 11, 21, 12)
    ranges = runner.plan(first)
    assert tuple(ranges) == RANGES
    runner.run_batch(first, ranges)  # type: ignore[arg-type]
    assert runner.failure is None
    assert until(manager.state) == {0: 10, 1: 5}
    assert runner.plan(datetime(2026, 11, 21, 13)) == ()
    assert runner.reason


def test_another_log_is_not_written_over_what_was_pending(world: World) -> None:
    """A topic that was replaced while the batch was pending has other records: no task is given its ranges."""
    with pytest.raises(Broken):
        run(world, EXACTLY_ONCE, broken)
    manager, committer = world.driver(EXACTLY_ONCE)
    runner = runner_of(manager, committer, Asked(Loss("REPLACED", "t", -1, -1, -1, -1, "another id")), given)
    assert runner.plan(datetime(2026, 11, 21, 12)) == ()
    assert runner.failure
    assert runner.failure.exit_status == 3


def test_a_pending_batch_that_kafka_lost_tells_the_way_out(world: World) -> None:
    """Launching again cannot help: the remedy is one that does, and the batch stays pending."""
    with pytest.raises(Broken):
        run(world, EXACTLY_ONCE, broken)
    manager, committer = world.driver(EXACTLY_ONCE)

    def tasks(ranges: Any) -> Any:
        raise DataLossError([Loss("EXPIRED", "t", 0, 0, 6, 6, "while reading")], "nothing was published")

    runner = runner_of(manager, committer, Asked(), tasks)
    first = datetime(2026, 11, 21, 12)
    runner.run_batch(first, runner.plan(first))  # type: ignore[arg-type]
    assert runner.failure
    assert runner.failure.exit_status == 3
    assert "EXPIRED t-0 [0,6)" in str(runner.failure)
    assert "t-0[0,10), t-1[0,5)" in str(runner.failure)
    assert "reset_offsets.py JOB.cfg --all-topics --to-current --discard-pending" in runner.failure.remedy
    assert manager.state.pending is not None


def test_a_batch_that_is_logged_is_not_written_again(world: World) -> None:
    """Its entry says that all of it is written: also when Kafka has lost its records by now, it is only committed."""
    with killed_at("log.after"):
        run(world, EXACTLY_ONCE, lambda _: None)
    manager, committer = world.driver(EXACTLY_ONCE)
    assert manager.state.pending is not None
    done = committer.redo()
    assert done
    assert done.ranges == RANGES
    assert (until(manager.state), manager.state.pending, manager.state.seq) == ({0: 10, 1: 5}, None, 1)


@pytest.mark.parametrize("other", ["none", "ranges", "app"])
def test_only_its_own_entry_ends_a_pending_batch(world: World, other: str) -> None:
    """One of other ranges, or of another application, says nothing."""
    with pytest.raises(Broken):
        run(world, EXACTLY_ONCE, broken)
    manager, committer = world.driver(EXACTLY_ONCE)
    written = manifest_of("a" * 32, batch_of(manager.state, written_again(manager.state)), tuple(given(RANGES)))
    if other == "app":
        world.sink.log_written(replace(written, app="b" * 32))
    elif other == "ranges":
        world.sink.log_written(replace(written, ranges=RANGES[:1]))
    assert committer.redo() is None
    assert manager.state.pending is not None
