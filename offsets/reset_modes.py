"""Where each mode of a reset wants a partition to be.  Pure; `offsets.reset` moves it into what Kafka has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from offsets.starting import EARLIEST, LATEST, Numbers
from offsets.structs import TopicPartition


class Seen(NamedTuple):
    """One partition.  `current`: its offset in the register, None if that has none of the topic as it is now."""

    topic_partition: TopicPartition
    current: int | None
    resumed: int  # the current offset, moved into what is readable; without one, the log start
    beginning: int
    end: int  # last stable offset, exclusive
    since: int | None  # the first offset at or after the time that was asked for; None: there is none


class Target(NamedTuple):
    """Where the mode wants it, perhaps outside of the log; None: the mode cannot tell.  `note`: what to say of it."""

    offset: int | None
    note: str = ""


Mode = Callable[[Seen], Target]


def to_earliest(seen: Seen) -> Target:
    return Target(seen.beginning)


def to_latest(seen: Seen) -> Target:
    return Target(seen.end)


def to_current(seen: Seen) -> Target:
    """Stays, but within what Kafka has: the way on behind a loss."""
    return Target(seen.resumed)


@dataclass(frozen=True)
class ToTime:
    """The first record at or after the time; the end where there is none, as Kafka's own tool."""

    time_ms: int  # since the Unix epoch

    def __call__(self, seen: Seen) -> Target:
        if seen.since is None:
            return Target(seen.end, "no record at or after the time")
        return Target(seen.since)


@dataclass(frozen=True)
class ToOffset:
    offset: int

    def __call__(self, seen: Seen) -> Target:
        return Target(self.offset)


@dataclass(frozen=True)
class ShiftBy:
    """Negative: backwards."""

    records: int

    def __call__(self, seen: Seen) -> Target:
        if seen.current is None:
            return Target(None, "the register has no offset that could be shifted")
        return Target(seen.current + self.records)


@dataclass(frozen=True)
class ToOffsets:
    """Offsets one by one, also EARLIEST and LATEST.  `lines`: where each stands in the file that says so."""

    offsets: Numbers
    lines: Mapping[TopicPartition, int] = field(default_factory=dict)

    def __call__(self, seen: Seen) -> Target:
        topic, partition = seen.topic_partition
        offset = self.offsets[topic][partition]
        return Target({EARLIEST: seen.beginning, LATEST: seen.end}.get(offset, offset))
