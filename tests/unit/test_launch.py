"""One launch put together: the product's own parts on a local disk; Kafka and Spark are fakes of a few lines."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from offsets import failpoints
from offsets.errors import AlreadyRunningError, RegisterError, UnavailableError
from offsets.manager import OffsetManager, current_owner
from offsets.snapshot import TopicSnapshot
from offsets.stores.base import MemoryStore
from offsets.structs import OffsetRange
from streaming.config.reading import load
from streaming.formats import open_format
from streaming.run import batches, launch
from streaming.run.holding import held
from streaming.run.launch import Launch
from streaming.run.options import Options
from streaming.run.progress import RunProgress
from streaming.run.runner import Drain, Runner
from streaming.sinks.file import StagedFileSink
from streaming.sinks.staging import Block
from streaming.tasks.result import TaskResult
from tests.contract.lakes import killed_at
from tests.unit.job_file import JOB

CHANGES = ("source.subscribe=t", "source.maxOffsetsPerTrigger=4", "sink.format=text")


class World:
    """A topic of ten records, and tasks that write one line a record unless `error` is set."""

    def __init__(self, folder: Path) -> None:
        self.config = load("orders.cfg", JOB.format(folder=folder), CHANGES, {})
        self.error: Exception | None = None
        self.looks = 0  # at Kafka
        self.lake = folder / "lake"

    def close(self) -> None: ...

    def snapshot(self, topics: Sequence[str]) -> dict[str, TopicSnapshot]:
        self.looks += 1
        return {"t": TopicSnapshot("id", {0: (0, 10)})}

    def existing_topics(self) -> list[str]:
        return ["t"]

    def stage_with(self, config: Any, recipe: Any, sink: StagedFileSink, pinned: Any) -> Any:
        def stage(ranges: Sequence[OffsetRange], batch: Any) -> list[TaskResult]:
            if self.error:
                raise self.error
            return [TaskResult(r, tuple(sink.stage(batch.place, r, [lines(r)])), r.size(), 0, 0) for r in ranges]

        return stage

    def run(self, recover: str | None = None) -> tuple[str, dict[str, Any]]:
        """Why the launch ended, and its summary."""
        progress = RunProgress("orders", "run", "sink")
        reason = Launch(self.config, Options(available_now=True, recover=recover), progress, Drain()).run()
        return reason, progress.summary(0, reason)

    def published(self) -> list[str]:
        files = [f for f in self.lake.rglob("*.txt") if not f.relative_to(self.lake).parts[0].startswith("_")]
        return sorted(line for f in files for line in f.read_text().split())


def lines(range_: OffsetRange) -> dict[str, Block]:
    text, rows = open_format("text"), [str(o) for o in range(range_.from_offset, range_.until_offset)]
    return {"": Block(text.block(rows, None), len(rows), text)}


def tick_until_finished(sc: Any, runner: Runner) -> None:
    """What Spark does."""
    time = datetime(2026, 11, 21, 12, 0, 0)
    while not runner._finished.is_set():
        time += timedelta(seconds=1)
        if ranges := runner.plan(time):
            runner.run_batch(time, ranges)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path)
    for module in (launch, batches):
        monkeypatch.setattr(module, "Broker", lambda *_: made)
    monkeypatch.setattr(batches, "stage_with", made.stage_with)
    monkeypatch.setattr(batches, "spark", lambda *_: nullcontext())
    monkeypatch.setattr(batches, "run_batches", tick_until_finished)
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield made
    failpoints.arm(None)
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_first_launch_reads_to_the_end_and_the_next_finds_nothing(world: World) -> None:
    """Batches of the size that was asked for, each record once; then no Spark is started."""
    reason, summary = world.run()
    assert reason == "reached the end offsets seen at the start"
    assert (summary["batches"], summary["numInputRows"]) == (3, 10)
    planned, confirmed = 3 + 1, 3
    assert world.looks == 1 + planned + confirmed, "before the register is taken, around each batch, at the end"
    assert world.run()[0] == "nothing new"
    assert world.looks == 1 + planned + confirmed + 1, "what was seen once is not looked up again"
    assert world.published() == sorted(map(str, range(10)))


def test_the_failure_of_a_batch_is_the_launchs(world: World) -> None:
    """With its own exit status; the lock is free, and the next launch reads what this one did not."""
    world.error = UnavailableError("gone")
    with pytest.raises(UnavailableError, match="gone"):
        world.run()
    world.error = None
    assert world.run()[1]["numInputRows"] == 10


def test_a_register_of_long_ago_collects_nothing(world: World) -> None:
    """Put back from a copy, it knows nothing of a batch that is half published: what is left of that must stay."""
    with killed_at("publish.each", 3):
        world.run()
    for state in sorted((world.lake.parent / "offsets" / "state").iterdir())[4:]:  # all but create, take, one batch
        state.unlink()
    with pytest.raises(RegisterError, match="yet to write") as caught:
        world.run()
    assert "--recover register" in caught.value.remedy
    for file in (world.lake.parent / "offsets" / "state").iterdir():
        file.unlink()
    assert world.run(recover="register")[1]["redoneBatches"] == 1
    assert world.published() == sorted(map(str, range(10)))


def test_who_waits_in_vain_is_told_the_last_commit() -> None:
    """The refusal names the holder and says when the register was last committed; the lock is free after the block."""
    store = MemoryStore()
    manager = OffsetManager(store, current_owner("other"))
    manager.read()
    manager.create("a" * 32, {})
    with held(store, current_owner("first")):
        with pytest.raises(AlreadyRunningError, match="last commit never") as caught, held(store, current_owner("2nd")):
            pytest.fail("two hold the lock")
        assert caught.value.holder == store.holder()
    assert store.holder() is None
