"""One task's way from messages to blocks: call, sort, make blocks; what does not fit is looked for only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streaming.records import Message
from streaming.sinks.staging import Block
from streaming.transform.bad_records import Rejected
from streaming.transform.calling import Calls, Results
from streaming.transform.sorting import Group, Sorted, Sorter

Make = Callable[[str, Group], Any]
"""A block of a directory's rows: of all of them, or an error of UNFIT."""

# UnfitError and BadItemError are ValueErrors.  Python and Arrow have more ways to say that a value cannot be shown;
# they end no batch that is to go on without its bad records.  No KeyError: so a missing time zone is told as well.
UNFIT = (ValueError, TypeError, OverflowError, RecursionError, NotImplementedError)


class Pipeline:
    """Takes a range's chunks in their order and adds up what became of the records."""

    def __init__(self, calls: Calls, sorter: Sorter, make: Make, rejected: Rejected) -> None:
        self._calls, self._sorter, self._make = calls, sorter, make
        self.rejected = rejected
        self.records = 0  # fetched
        self.filtered = 0  # for which the function returned no row; of a chunk: how many rows fewer than records
        self.marked = 0  # for which it returned a row marked as bad; of a chunk: such rows

    def blocks(self, chunk: Sequence[Message]) -> list[Mapping[str, Block]]:
        """Blocks by directory.  No row of a bad record is among them.  Raises what `rejected` raises for one."""
        self.records += len(chunk)
        records, results = self._calls.results(chunk, self.rejected)
        try:
            found, made = self._made(records, results)
        except UNFIT:
            records, results = self._fitting(self._calls.alone(chunk, (records, results), self.rejected))
            found, made = self._made(records, results)
        whole = len(records) == 1 and records[0] is None
        self.filtered += max(0, len(chunk) - found.rows) if whole else found.filtered
        self.marked += found.bad if whole else found.marked
        return [*made, self.rejected.blocks()]

    def _made(self, records: Sequence[Any], results: Sequence[Any]) -> tuple[Sorted, list[dict[str, Any]]]:
        found, make = self._sorter.sort(records, results), self._make
        rows = {directory: make(directory, group) for directory, group in found.groups.items()}
        return found, [rows, *({directory: make(directory, table)} for directory, table in found.tables)]

    def _fitting(self, results: Results) -> Results:
        """Those that can be written; the others are rejected."""
        fitting = []
        for record, result in zip(*results, strict=True):
            try:
                self._made([record], [result])
            except UNFIT as e:
                self.rejected(record, self._calls.unfit(e), e)
            else:
                fitting.append((record, result))
        return [record for record, _ in fitting], [result for _, result in fitting]
