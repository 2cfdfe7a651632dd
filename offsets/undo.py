"""What the undo of a reset moves, and which plain reset would do instead once a batch was committed.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from offsets.events import Event, Topics, moves
from offsets.reset import Move
from offsets.starting import Numbers


@dataclass(frozen=True)
class ByHand:
    """`offsets`: where the partitions that the reset moved were before it.  `left_out`: the others, and why."""

    moves: tuple[Move, ...]
    offsets: Numbers
    left_out: tuple[str, ...]


def restoring(now: Topics, wanted: Topics) -> tuple[Move, ...]:
    """Every partition that is elsewhere in `wanted`, with what is read again or skipped by that."""
    return tuple(
        _counted(move.topic, move.partition, move.from_offset, move.until_offset, _same(move.topic, now, wanted))
        for move in moves(now, wanted)
    )


def by_hand(now: Topics, last: Event) -> ByHand | None:
    """For the reset `last`, from the register's topics as they are now; None if nobody knows where it began.

    What the reset left alone stays: it has gone on meanwhile as it would have without.
    """
    if last.was is None or last.topics is None:
        return None
    offsets: dict[str, dict[int, int]] = {}
    left_out = []
    for topic, partition, before, _ in moves(last.was, last.topics):
        if before is None:
            left_out.append(f"{topic}-{partition} was not in the register before")
        elif not _same(topic, last.was, now) or partition not in now[topic].offsets:
            left_out.append(f"{topic}-{partition} was at {before} of a topic or partition that is another one now")
        else:
            offsets.setdefault(topic, {})[partition] = before
    return ByHand(tuple(_moves(now, offsets)), offsets, tuple(left_out))


def _moves(now: Topics, offsets: Numbers) -> Iterator[Move]:
    for topic, of in offsets.items():
        for partition, before in of.items():
            yield _counted(topic, partition, now[topic].offsets[partition], before, True)


def _same(topic: str, one: Topics, other: Topics) -> bool:
    return topic in one and topic in other and one[topic].id == other[topic].id


def _counted(topic: str, partition: int, current: int | None, new: int | None, same: bool) -> Move:
    if current is None or new is None or not same:
        return Move(topic, partition, current, new, None, None, "" if same else "another topic of the same name")
    return Move(topic, partition, current, new, max(current - new, 0), max(new - current, 0))
