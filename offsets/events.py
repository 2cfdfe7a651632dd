"""One write of a register as an event, and which partitions it moved.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from offsets.structs import LostRange, OffsetRange, Owner, TopicState

CREATE, TAKEOVER, PREPARE, COMMIT, RESET, LOSS, REBUILD = KINDS = (
    "create",
    "takeover",
    "prepare",
    "commit",
    "reset",
    "loss",
    "rebuild",
)
Topics = Mapping[str, TopicState]


class Move(NamedTuple):
    """One partition.  None: the register did not have it before, or has it no more.  A rewind ends below its begin."""

    topic: str
    partition: int
    from_offset: int | None
    until_offset: int | None


@dataclass(frozen=True)
class Event:
    """`seq`: the batch that a prepare or commit is about, for all others the one that comes next.

    `moves`: every partition that moved, of a prepare that will; None if nobody knows.  `owner`: of a commit that only
    the batch log knows it is who planned the batch.  `was`, `topics`: where a reset was, and went.
    """

    kind: str
    generation: int
    seq: int
    epoch: int | None = None
    time_ms: int | None = None
    owner: Owner | None = None
    moves: tuple[Move, ...] | None = ()
    reason: str = ""
    losses: tuple[LostRange, ...] = ()
    records: int | None = None
    files: int | None = None
    was: Topics | None = None
    topics: Topics | None = None

    @property
    def identity(self) -> tuple[Any, ...]:
        """The same for one write of the register, whoever tells of it."""
        if self.kind in (PREPARE, COMMIT):
            return (self.kind, self.generation, self.seq)
        if self.kind in (RESET, LOSS):
            return ("generation", self.generation)
        return (self.kind, self.epoch)

    @property
    def place(self) -> tuple[int, int, int, bool]:
        """In the order in which the register was written: all of these only ever grow."""
        following = self.seq + (self.kind == COMMIT)
        return (self.generation, following, -1 if self.epoch is None else self.epoch, self.kind == PREPARE)


def of_ranges(ranges: Iterable[OffsetRange | LostRange]) -> tuple[Move, ...]:
    return tuple(Move(r.topic, r.partition, r.from_offset, r.until_offset) for r in ranges)


def moves(was: Topics, topics: Topics) -> tuple[Move, ...]:
    """Every partition that is elsewhere now, sorted; of a topic with another id that is each."""
    found = []
    for name in sorted({*was, *topics}):
        old, new = was.get(name), topics.get(name)
        same = old is not None and new is not None and old.id == new.id
        for partition in sorted({*(old.offsets if old else ()), *(new.offsets if new else ())}):
            begin = old.offsets.get(partition) if old else None
            end = new.offsets.get(partition) if new else None
            if begin != end or not same:
                found.append(Move(name, partition, begin, end))
    return tuple(found)
