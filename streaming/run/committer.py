"""One batch from its staged files to its commit, and the redo of one that a crash left prepared.  Driver only.

The steps and their order are protocol.md's: manifest, prepare, publish, commit, gc.  No Spark in here, so that plain
processes can run, kill and freeze it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from offsets.failpoints import reach
from offsets.manager import OffsetManager
from offsets.planning import Plan
from offsets.protocol import advance
from offsets.structs import Manifest
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.sinks.retention import KEEP_BATCHES, BatchLogRetention
from streaming.tasks.result import TaskResult


@dataclass(frozen=True)
class Batch:
    """A planned batch and the place where its tasks stage."""

    plan: Plan
    place: StagingPlace
    time_ms: int  # Unix epoch, pinned at planning


@dataclass
class Stopwatch:
    """Milliseconds by step name, in Structured Streaming's manner (`durationMs`)."""

    clock: Callable[[], float] = time.monotonic
    durations: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def seconds(self) -> float:
        """Since it was made."""
        return self.clock() - self._began

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = self.clock()
        try:
            yield
        finally:
            self.durations[name] = self.durations.get(name, 0) + round((self.clock() - began) * 1000)


class Committer:
    """Moves batches through the protocol.  Not thread-safe: one batch at a time (rule S)."""

    def __init__(self, manager: OffsetManager, sink: StagedFileSink, keep_batches: int = KEEP_BATCHES) -> None:
        self._manager, self._sink = manager, sink
        self._retention = BatchLogRetention(sink.filesystem, keep_batches)

    def commit(self, batch: Batch, results: Iterable[TaskResult], watch: Stopwatch) -> Manifest:
        """Publishes and commits what the tasks staged.  Raises without having changed anything before `prepare`."""
        state = self._manager.state
        manifest = manifest_of(state.app, batch, tuple(results), state.schemas)
        with watch.step("manifest"):
            reach("manifest.before")
            ref = self._sink.write_manifest(manifest)
            reach("manifest.after")
        with watch.step("prepare"):
            self._manager.prepare(batch.plan.topics, manifest.ranges, ref, manifest.schemas)
        with watch.step("publish"):
            self._sink.publish(ref, manifest, self._manager.changed)
        with watch.step("commit"):
            self._manager.commit()
        with watch.step("gc"):
            self.collect_garbage()
        return manifest

    def redo(self) -> Manifest | None:
        """Finishes the batch that the register says is pending, if any: publishes its files, then commits."""
        pending = self._manager.state.pending
        if pending is None or pending.manifest is None:
            return None
        reach("redo.manifest")
        manifest = self._sink.read_manifest(pending.manifest, self._manager.changed)
        self._sink.publish(pending.manifest, manifest, self._manager.changed, check_lengths=True)
        self._manager.commit()
        return manifest

    def collect_garbage(self) -> None:
        """Rule G: only batches older than the one that comes next, and only while nothing is pending."""
        state = self._manager.state
        if state.pending is None:
            self._sink.collect_garbage((state.epoch, state.seq))
            self._retention.prune(state.generation, state.seq)


def manifest_of(app: str, batch: Batch, results: tuple[TaskResult, ...], pinned: Mapping[str, str] = {}) -> Manifest:
    """Exactly the returned files.  Raises ValueError when the results are not those of the planned ranges, staged.

    `pinned`: the register's schemas, to which the batch adds those of the tables that it is the first to write.
    """
    planned = sorted(batch.plan.ranges)
    if sorted(r.range for r in results if r.inferred is None) != planned:
        raise ValueError(f"results of {sorted(r.range for r in results)} for planned ranges {planned}")
    ordered = sorted(results, key=lambda r: r.range)
    return Manifest(
        app=app,
        generation=batch.place.generation,
        epoch=batch.place.epoch,
        seq=batch.place.seq,
        ranges=tuple(planned),
        topics=advance(batch.plan.topics, batch.plan.ranges),
        files=tuple(f for r in ordered for f in r.files),
        records=sum(r.records for r in ordered),
        time_ms=batch.time_ms,
        schemas={**pinned, **{table: schema for r in ordered for table, schema in r.schemas.items()}},
    )
