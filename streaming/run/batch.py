"""A batch on the driver, on its way from the plan to the end: what is known of it so far, and what its steps took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from offsets.planning import Plan
from offsets.protocol import advance
from offsets.structs import EXACTLY_ONCE, Manifest, ManifestRef
from streaming.sinks.contracts import SinkBatch
from streaming.sinks.names import StagingPlace
from streaming.tasks.result import TaskResult

Tasks = Callable[[], Sequence[TaskResult]]


@dataclass(frozen=True)
class Batch:
    """A planned batch and the place where its tasks stage."""

    plan: Plan
    place: StagingPlace
    time_ms: int  # Unix epoch, pinned at planning


@dataclass
class BatchInFlight:
    """`tasks` runs the batch's tasks.  The other fields are set by the steps that find them, and not read before."""

    batch: Batch
    tasks: Tasks
    schemas: Mapping[str, str] = field(default_factory=dict)
    results: tuple[TaskResult, ...] = field(init=False)
    manifest: Manifest = field(init=False)
    ref: ManifestRef = field(init=False)


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


def sink_batch(app: str, batch: Batch) -> SinkBatch:
    """The batch as a sink of the user's is told of it."""
    place, ranges = batch.place, tuple(sorted(batch.plan.ranges))
    return SinkBatch(app, place.generation, place.epoch, place.seq, batch.time_ms, ranges)


def manifest_of(
    app: str,
    batch: Batch,
    results: tuple[TaskResult, ...],
    pinned: Mapping[str, str] = {},
    guarantee: str = EXACTLY_ONCE,
) -> Manifest:
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
        guarantee=guarantee,
    )
