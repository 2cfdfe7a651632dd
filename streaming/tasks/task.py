"""What one task does, all of it in the executor's own Python process: fetch one range, transform, stage.

Nothing here publishes or writes an offset, so a retried, speculative or late attempt can do no harm.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from offsets.structs import OffsetRange
from streaming.fetching.ranges import read_range
from streaming.fetching.source import Client
from streaming.records import Message
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.sinks.staging import Block
from streaming.spark.taskstart import forget_archives
from streaming.tasks.errors import crossing
from streaming.tasks.result import TaskResult
from streaming.tasks.times import Metered, in_steps
from streaming.transform.bad_records import QUARANTINE
from streaming.transform.blocks import MissingSchema
from streaming.transform.enrichment import on_worker
from streaming.transform.pipeline import Make, Pipeline
from streaming.transform.recipe import Recipe

if TYPE_CHECKING:
    from pyspark import Broadcast

# Objects made between two searches of Python for unreachable cycles.  A chunk's messages and rows go by themselves;
# with Python's own 700 to 2,000 the searches among them took a fifth of a task.
COLLECT_AFTER = 50_000
PROGRESS_SECONDS = 30.0  # without a record or an end of range for so long, the task gives up and the run exits 69


@dataclass(frozen=True)
class StageTask:
    """For `RDD.mapPartitions` on a range stream.  Pickles by reference: executors import this module.

    `schemas`: of the tables that are known.  `shipped`: what job.setup returned on the driver, if it runs there.
    """

    client: Client
    sink: StagedFileSink
    place: StagingPlace
    recipe: Recipe
    schemas: Mapping[str, str] = field(default_factory=dict)
    shipped: Broadcast[Any] | None = None

    def __call__(self, ranges: Iterable[OffsetRange]) -> Iterator[TaskResult]:
        gc.set_threshold(COLLECT_AFTER)
        with crossing():
            for range_ in ranges:
                yield self.stage(range_)
        forget_archives()

    def stage(self, range_: OffsetRange) -> TaskResult:
        """Reads the whole range and stages its rows.  Raises StreamErrors; on any error nothing is left half-named.

        At a table without a schema nothing is staged: the result says what schemas the rows would fit.
        """
        began = time.perf_counter()
        chunks = iter(read_range(self.client, range_, PROGRESS_SECONDS))
        fetched, make = Metered(chunks), self.recipe.blocks(self.schemas)
        current, pipeline = _Current(fetched), self._pipeline(range_, make)
        groups = Metered(_groups(pipeline, current))
        try:
            files = self.sink.stage(self.place, range_, groups)
        except MissingSchema:
            return TaskResult(range_, (), 0, 0, 0, inferred=self._inferred(range_, chain([current.chunk], chunks)))
        rejected = pipeline.rejected
        quarantined = rejected.count if self.recipe.bad_records == QUARANTINE else 0
        return TaskResult(
            range_,
            tuple(files),
            pipeline.records,
            pipeline.filtered,
            pipeline.marked + rejected.count,
            in_steps(fetched, groups, time.perf_counter() - began),
            quarantined=quarantined,
            skipped=rejected.count - quarantined,
            first_bad=rejected.first,
            schemas=make.used,
        )

    def _inferred(self, range_: OffsetRange, chunks: Iterable[Sequence[Message]]) -> Mapping[str, str]:
        sketch = self.recipe.sketch(self.schemas)
        pipeline = self._pipeline(range_, sketch)
        for chunk in chunks:
            pipeline.blocks(chunk)
        return sketch.found()

    def _pipeline(self, range_: OffsetRange, make: Make) -> Pipeline:
        return self.recipe.pipeline(range_.topic, range_.partition, make, self._resource())

    def _resource(self) -> Any:
        if self.shipped is not None:
            return self.shipped.value
        setup = self.recipe.setup
        return None if setup is None else on_worker(setup, setup.version(self.place.seq))


class _Current:
    """Chunks one by one; `chunk` is the one given last."""

    chunk: Sequence[Message] = ()

    def __init__(self, chunks: Iterable[Sequence[Message]]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[Sequence[Message]]:
        for chunk in self._chunks:
            self.chunk = chunk
            yield chunk


def _groups(pipeline: Pipeline, chunks: Iterable[Sequence[Message]]) -> Iterator[Mapping[str, Block]]:
    for chunk in chunks:
        yield from pipeline.blocks(chunk)
