"""Numbered records: in every partition the committed ones count up by one, without a gap and each number once.

Pure.  A record's value is `{"partition": 0, "number": 17}`; `"aborted": true` in it marks a record of a transaction
that is never committed: whoever sees one reads what was never there.  A tombstone has its number in the header
`number`.  An aborted record's number is given again to the next record: what is committed has no gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import orjson

from producers.delivery import Item

HEADER = "number"
Ending = Literal["commit", "abort", "open"]


@dataclass(frozen=True)
class Sequence:
    """What the records are.  `starts`: the first number of each partition; the partitions take turns."""

    starts: Mapping[int, int]
    keys: int | None = None  # keys repeat after so many numbers; None: every number is a key of its own
    tombstones: float = 0.0  # share of records without a value, spread evenly
    size: int = 0  # bytes of a value at least

    def item(self, turn: int, aborted: bool = False) -> Item:
        """The record of this turn, counted from 0."""
        round_, place = divmod(turn, len(self.starts))
        partition, start = self._ordered[place]
        number = start + round_
        key = str(number % self.keys if self.keys else number).encode()
        note = {"number": number}
        if self._is_tombstone(number):
            return Item(None, key, partition, ((HEADER, str(number).encode()),), note)
        return Item(self._value(partition, number, aborted), key, partition, note=note)

    def items(self, turns: range, aborted: bool = False) -> Iterator[Item]:
        return (self.item(turn, aborted) for turn in turns)

    @cached_property
    def _ordered(self) -> list[tuple[int, int]]:
        return sorted(self.starts.items())

    def _is_tombstone(self, number: int) -> bool:
        return int((number + 1) * self.tombstones) > int(number * self.tombstones)

    def _value(self, partition: int, number: int, aborted: bool) -> bytes:
        mark = b',"aborted":true' if aborted else b""
        value = b'{"partition":%d,"number":%d%b}' % (partition, number, mark)
        missing = self.size - len(value)
        return value if missing <= 0 else value[:-1] + b',"padding":"%b"}' % (b"." * max(0, missing - 13))


def number_of(value: bytes | None, headers: Mapping[str, bytes]) -> int:
    """What a record of a sequence is numbered.  Raises ValueError for any other record."""
    try:
        return int(headers[HEADER]) if value is None else int(orjson.loads(value)["number"])
    except (KeyError, TypeError, ValueError) as e:
        raise ValueError("no record of a sequence") from e


class Transaction(NamedTuple):
    """The turns that it holds, and how it ends."""

    turns: range
    ending: Ending


def transactions(records: int, size: int, abort_every: int | None, leave_open: bool) -> Iterator[Transaction]:
    """`records` turns in transactions of `size`.  Every `abort_every`th is aborted, and its turns come again.

    With `leave_open` one more comes at the end, of `size` turns, which is neither committed nor aborted.
    """
    done = count = 0
    while done < records:
        count += 1
        turns = range(done, min(done + size, records))
        aborts = abort_every is not None and count % abort_every == 0
        yield Transaction(turns, "abort" if aborts else "commit")
        done += 0 if aborts else len(turns)
    if leave_open:
        yield Transaction(range(done, done + size), "open")
