"""What a task of a batch-wise sink reads, on executors: one range, claimed if it must be, and counted at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offsets.structs import OffsetRange
from streaming.direct.reading import ReadTask
from streaming.records import Record
from streaming.tasks.errors import crossing
from streaming.tasks.write import Claims

if TYPE_CHECKING:
    from pyspark import Accumulator


class Counts:
    """For `SparkContext.accumulator`: records by range, of those that were read to their ends, however often."""

    def zero(self, value: dict[OffsetRange, int]) -> dict[OffsetRange, int]:
        return {}

    def addInPlace(self, one: dict[OffsetRange, int], other: dict[OffsetRange, int]) -> dict[OffsetRange, int]:
        for range_, count in other.items():
            one[range_] = max(count, one.get(range_, 0))
        return one


@dataclass(frozen=True)
class CountedRead(ReadTask[Record]):
    """A ReadTask of Records that tells `counts` of each range whose end it has come to."""

    claims: Claims | None = None
    counts: Accumulator[dict[OffsetRange, int]] | None = None

    def __call__(self, ranges: Iterable[OffsetRange]) -> Iterator[Record]:
        """BatchError for the second reader of a claimed range, before the user's function is called with it."""
        partition = list(ranges)
        if self.claims is not None:
            with crossing():
                for range_ in partition:
                    self.claims.claim(range_)
        return super().__call__(partition)

    def read(self, range_: OffsetRange) -> Iterator[Record]:
        """Raises StreamErrors."""
        count = 0
        for record in super().read(range_):
            count += 1
            yield record
        if self.counts is not None:
            self.counts.add({range_: count})
