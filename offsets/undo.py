"""What the undo of a reset moves, and which plain reset would do instead once a batch was committed.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from offsets.events import Event, Topics, moves
from offsets.reset import Move, counted
from offsets.starting import Numbers
from offsets.structs import TopicPartition


@dataclass(frozen=True)
class ByHand:
    """`offsets`: where the partitions that the reset moved were before it.  `left_out`: the others, and why."""

    moves: tuple[Move, ...]
    offsets: Numbers
    left_out: tuple[str, ...]


def restoring(now: Topics, wanted: Topics) -> tuple[Move, ...]:
    """Every partition that is elsewhere in `wanted`, with what is read again or skipped by that."""
    return tuple(
        counted(TopicPartition(topic, p), current, new, _same(topic, now, wanted), _notes(topic, now, wanted))
        for topic, p, current, new in moves(now, wanted)
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
            yield counted(TopicPartition(topic, partition), now[topic].offsets[partition], before, same=True)


def _same(topic: str, one: Topics, other: Topics) -> bool:
    return topic in one and topic in other and one[topic].id == other[topic].id


def _notes(topic: str, one: Topics, other: Topics) -> tuple[str, ...]:
    replaced = topic in one and topic in other and not _same(topic, one, other)
    return ("another topic of the same name",) if replaced else ()
