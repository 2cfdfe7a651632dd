"""The suite's direct sinks, given their batches as a whole: `per_batch` makes them so in the process that calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import streaming.direct.reading
from offsets.structs import OffsetRange
from streaming.records import Record
from streaming.run import batchwise
from streaming.sinks.contracts import SinkBatch
from streaming.tasks.read import CountedRead
from tests.crash.plain import driver, sinks


class Records:
    """What the sinks use of an RDD of records: a task a range, run here, one by one."""

    def __init__(self, ranges: Sequence[OffsetRange], task: CountedRead) -> None:
        self._ranges, self._task = ranges, task

    def foreachPartition(self, function: Callable[[Iterator[Record]], object]) -> None:
        for range_ in self._ranges:
            function(self._task([range_]))


class Counted:
    """What the product uses of an Accumulator."""

    def __init__(self, value: Any, param: Any) -> None:
        self.value, self._param = value, param

    def add(self, term: Any) -> None:
        self.value = self._param.addInPlace(self.value, term)


class Context:
    """What the product uses of a SparkContext here."""

    accumulator = Counted


def per_batch() -> None:
    """From now on Upsert and Append have `write_batch` in place of `write_partition`."""
    write_partition = sinks._Sink.write_partition

    def write_batch(self: sinks._Sink, batch: SinkBatch, rdd: Records) -> None:
        ranges = iter(batch.ranges)
        rdd.foreachPartition(lambda records: write_partition(self, next(ranges), records))

    sinks._Sink.write_batch = write_batch  # type: ignore[attr-defined]
    del sinks._Sink.write_partition
    driver.Rdd.context = Context()  # type: ignore[attr-defined]
    batchwise.records_of = lambda rdd, ranges, task: Records(ranges, task)  # type: ignore[assignment,return-value]
    streaming.direct.reading._task = lambda: None
