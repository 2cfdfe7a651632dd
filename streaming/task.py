"""What one task does, all of it in the executor's own Python process: fetch one range, transform, stage.

Nothing here publishes or writes an offset, so a retried, speculative or late attempt can do no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from offsets.structs import OffsetRange
from streaming.committer import TaskResult
from streaming.fetching.ranges import read_range
from streaming.fetching.source import Client
from streaming.formats import Format
from streaming.rows import RowCounts, grouped, load_function
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.taskerrors import crossing
from streaming.taskstart import forget_archives
from streaming.tasktimes import Metered, in_steps

PROGRESS_SECONDS = 30.0  # without a record or an end of range for so long, the task gives up and the run exits 69


@dataclass(frozen=True)
class StageTask:
    """For `RDD.mapPartitions` on a range stream.  Pickles by reference: executors import this module."""

    client: Client
    sink: StagedFileSink
    place: StagingPlace
    format: Format
    function: str | None

    def __call__(self, ranges: Iterable[OffsetRange]) -> Iterator[TaskResult]:
        with crossing():
            for range_ in ranges:
                yield self.stage(range_)
        forget_archives()

    def stage(self, range_: OffsetRange) -> TaskResult:
        """Reads the whole range and stages its rows.  Raises StreamErrors; on any error nothing is left half-named."""
        began = time.perf_counter()
        counts = RowCounts()
        function = load_function(self.function)
        chunks = Metered(read_range(self.client, range_, PROGRESS_SECONDS))
        groups = Metered(grouped(function, chunk, self.format, counts) for chunk in chunks)
        files = self.sink.stage(self.place, range_, groups)
        times = in_steps(chunks, groups, time.perf_counter() - began)
        return TaskResult(range_, tuple(files), counts.records, counts.filtered, counts.bad, times)
