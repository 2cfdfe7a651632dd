"""A driver in miniature: the product's own manager, committer, store and sink, without Spark and Kafka.  No tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from offsets import failpoints
from offsets.filesystems import Filesystem
from offsets.manager import OffsetManager, current_owner
from offsets.planning import Plan
from offsets.profiles import PROFILES, STAGED
from offsets.stores.base import OffsetStore
from offsets.structs import EXACTLY_ONCE, OffsetRange, TopicState
from streaming.formats import open_format
from streaming.run.batch import Batch, Stopwatch
from streaming.run.committer import Committer
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.sinks.retention import KEEP_BATCHES
from streaming.sinks.staging import Block
from streaming.tasks.result import TaskResult
from tests.contract.file_places import APP

TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"
TEXT = open_format("text")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@contextmanager
def killed_at(failpoint: str, hit: int = 1) -> Iterator[None]:
    """The driver of the block dies there, at its first or `hit`th hit."""
    hits: list[str] = []

    def kill(name: str) -> None:
        hits.append(name)
        if name == failpoint and hits.count(name) >= hit:
            raise Killed

    failpoints.arm(kill)
    try:
        with pytest.raises(Killed):
            yield
    finally:
        failpoints.arm(None)


@dataclass
class Lake:
    """Batches of ten records of each partition of topic `orders`; `folders` share each range's rows."""

    store: OffsetStore
    filesystem: Filesystem
    partitions: int = 2
    folders: Sequence[str] = ("a", "b/dt=1")
    keep_batches: int = KEEP_BATCHES
    guarantee: str = EXACTLY_ONCE
    manager: OffsetManager = field(init=False)
    committer: Committer = field(init=False)

    def __post_init__(self) -> None:
        self.sink = StagedFileSink(self.filesystem)
        self.launch()

    def launch(self) -> None:
        """A new driver: creates what a first launch needs, takes over, finishes what is pending."""
        self.manager = OffsetManager(self.store, current_owner("run"))
        if self.manager.read() is None:
            self.manager.create(APP, {"orders": TopicState(TOPIC_ID, dict.fromkeys(range(self.partitions), 0))})
            self.sink.write_marker(APP)
        self.manager.take()
        self.committer = Committer(self.manager, self.sink, self.keep_batches, PROFILES[self.guarantee, STAGED])
        self.committer.redo()
        self.committer.collect_garbage()

    def run(self, batches: int) -> None:
        for _ in range(batches):
            self.commit(self.planned())

    def planned(self) -> Batch:
        state = self.manager.state
        offsets = state.topics["orders"].offsets
        ranges = tuple(OffsetRange("orders", p, at, at + 10) for p, at in offsets.items())
        place = StagingPlace(state.generation, state.epoch, state.seq)
        return Batch(Plan(ranges, state.topics), place, 1_700_000_000_000)

    def commit(self, batch: Batch) -> None:
        self.committer.run(batch, lambda: [self.stage(batch.place, r) for r in batch.plan.ranges], Stopwatch())

    def stage(self, place: StagingPlace, range_: OffsetRange) -> TaskResult:
        """What a task does with its range: one row a folder."""
        groups: list[Mapping[str, Block]] = [
            {folder: Block(TEXT.block([f"{folder} {range_}"], None), 1, TEXT) for folder in self.folders}
        ]
        return TaskResult(range_, tuple(self.sink.stage(place, range_, groups)), range_.size(), 0, 0)

    def reset(self, offset: int) -> None:
        """A new generation, every partition at `offset`."""
        offsets = dict.fromkeys(range(self.partitions), offset)
        self.manager.reset({"orders": TopicState(TOPIC_ID, offsets)}, "a test")
        self.sink.log_reset(self.manager.state)
