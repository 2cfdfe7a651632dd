"""Results of a function to rows by directory.  Calls nobody's code and makes no blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streaming.formats import UnfitError
from streaming.layouts.folders import Placer
from streaming.records import Message, Record
from streaming.rows import Routed
from streaming.sinks.names import encoded_folder


@dataclass
class Group:
    """Rows for one directory: a list of them, or an Arrow table or batch."""

    rows: Any = field(default_factory=list)
    bad: int = 0  # rows that the function itself has marked

    @property
    def count(self) -> int:
        return len(self.rows)


@dataclass
class Sorted:
    """`groups`: rows by directory (already encoded).  `tables`: those of Arrow, each a group of its own."""

    groups: dict[str, Group] = field(default_factory=dict)
    tables: list[tuple[str, Group]] = field(default_factory=list)
    filtered: int = 0  # results without a row
    marked: int = 0  # results with a row that is marked as bad

    @property
    def rows(self) -> int:
        return sum(group.count for group in self._all())

    @property
    def bad(self) -> int:
        return sum(group.bad for group in self._all())

    def _all(self) -> list[Group]:
        return [*self.groups.values(), *(group for _, group in self.tables)]


class Sorter(Protocol):
    def sort(self, records: Sequence[Any], results: Sequence[Any]) -> Sorted:
        """`results[i]` is what came of `records[i]`.  Raises UnfitError or TypeError if a row has no folder."""


class RowSorter:
    """For results of record functions: None, one row, or a list of rows.  `placer`: None without a layout."""

    def __init__(self, placer: Placer | None) -> None:
        self._placer = placer

    def sort(self, records: Sequence[Record | None], results: Sequence[Any]) -> Sorted:
        found = Sorted()
        groups, placer = found.groups, self._placer
        for record, result in zip(records, results, strict=True):
            rows = result if type(result) is list else () if result is None else (result,)
            if not rows:
                found.filtered += 1
                continue
            marked = False
            for row in rows:
                directory, bad = "", False
                if type(row) is Routed:
                    folder, row, bad = row
                    directory, marked = routed(folder), marked or bad
                elif placer is not None:
                    directory = placer.folder(-1 if record is None else event_time(record), row)
                group = groups.get(directory)
                if group is None:
                    group = groups[directory] = Group()
                group.rows.append(row)
                group.bad += bad
            found.marked += marked
        return found


class ChunkSorter:
    """For results of chunk functions, which may also be, or hold, Arrow tables and batches."""

    def __init__(self, placer: Placer | None) -> None:
        self._placer, self._rows = placer, RowSorter(placer)

    def sort(self, records: Sequence[Record | None], results: Sequence[Any]) -> Sorted:
        rows, tables = [], []
        for result in results:
            items = result if type(result) is list else [] if result is None else [result]
            tables += [item for item in items if is_table(item)]
            rows.append([item for item in items if not is_table(item)])
        found = self._rows.sort(records, rows)
        for table in tables:
            found.tables += self._split(table)
        return found

    def _split(self, item: Any) -> list[tuple[str, Group]]:
        folder, table, bad = item if type(item) is Routed else (None, item, False)
        if folder is not None:
            return [(routed(folder), Group(table, len(table) * bad))]
        if self._placer is None:
            return [("", Group(table))]
        from streaming.layouts.tables import split

        return [(directory, Group(part)) for directory, part in split(table, self._placer)]


class MessageSorter:
    """For messages as they are: each is its own row."""

    def __init__(self, placer: Placer | None) -> None:
        self._placer = placer

    def sort(self, records: Sequence[Message], results: Sequence[Message]) -> Sorted:
        if self._placer is None:
            return Sorted({"": Group(results)} if results else {})
        found = Sorted()
        for message in results:
            has, at = message.timestamp()
            found.groups.setdefault(self._placer.folder(at if has else -1, None), Group()).rows.append(message)
        return found


def routed(folder: Any) -> str:
    """The directory for a folder that a function names.  Raises UnfitError."""
    try:
        return encoded_folder(folder)
    except (ValueError, TypeError) as e:
        raise UnfitError(str(e)) from e


def is_table(item: Any) -> bool:
    """Whether it, or the row that it routes, is a table or batch of Arrow."""
    return hasattr(item.row if type(item) is Routed else item, "to_pylist")


def event_time(record: Record) -> int:
    """ms, -1 if the record has none."""
    return record.timestamp if record.timestamp_type else -1
