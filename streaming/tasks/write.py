"""What one task of a direct sink does, in the executor's own Python process: fetch one range, give it to the sink.

Under at-most-once a range is written by one attempt of one task, whatever Spark does: it claims the range by creating
a file, and who finds it there, or its folder collected, writes nothing.  PySpark tells no task which attempt of its
stage it belongs to, so nothing that it tells would do.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from offsets.errors import BatchError
from offsets.failpoints import reach
from offsets.filesystems import Filesystem
from offsets.structs import OffsetRange
from streaming.fetching.ranges import read_range
from streaming.fetching.source import Client
from streaming.records import Message, Record, from_message
from streaming.sinks.alarm import Alarm
from streaming.sinks.current import BatchPlace, working_for
from streaming.sinks.direct import write
from streaming.sinks.names import StagingPlace, claim_name
from streaming.spark.taskstart import forget_archives
from streaming.tasks.errors import crossing
from streaming.tasks.result import TaskResult
from streaming.tasks.task import PROGRESS_SECONDS
from streaming.tasks.times import Metered


@dataclass(frozen=True)
class Claims:
    """Where the tasks of one batch claim their ranges; the driver has made the batch's folder."""

    filesystem: Filesystem
    place: StagingPlace

    def claim(self, range_: OffsetRange) -> None:
        """Raises BatchError unless this is the first attempt there ever was."""
        reach("task.claim")
        try:
            self.filesystem.claim(f"{self.place.directory}/{claim_name(range_)}")
        except (FileExistsError, FileNotFoundError) as e:
            raise BatchError(
                f"a second attempt of the task of {range_} was refused: under at-most-once the first may have written",
                "see in Spark's log why the first one failed; launch again: it goes on behind this batch, of which "
                "records may be missing in the sink",
            ) from e


@dataclass(frozen=True)
class WriteTask:
    """For `RDD.mapPartitions` on a range stream.  `sink`: sink.class.  `claims`: None if ranges may be repeated.

    `timeout`: seconds that the sink may take for a range, beside what fetching takes; None: any.
    """

    client: Client
    sink: str
    claims: Claims | None
    timeout: float | None = None
    batch: BatchPlace | None = None  # which it writes for, for sinks that stage

    def __call__(self, ranges: Iterable[OffsetRange]) -> Iterator[TaskResult]:
        with crossing():
            for range_ in ranges:
                yield self.write(range_)
        forget_archives()

    def write(self, range_: OffsetRange) -> TaskResult:
        """Reads the whole range and gives it to the sink.  Raises StreamErrors."""
        if self.claims is not None:
            self.claims.claim(range_)
        began = time.perf_counter()
        fetched = Metered(read_range(self.client, range_, PROGRESS_SECONDS))
        alarm = Alarm(self.timeout)
        records = Counted(alarm.waiting(fetched))
        reach("task.write")
        with working_for(self.batch):
            value = write(self.sink, range_, records, alarm)
        reach("task.return")
        times = {"fetch": fetched.seconds, "write": time.perf_counter() - began - fetched.seconds}
        return TaskResult(range_, (), records.count, 0, 0, times, written=records.count, value=value)


class Counted:
    """The records of chunks, one by one."""

    count = 0

    def __init__(self, chunks: Iterable[Sequence[Message]]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[Record]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield from map(from_message, chunk)
