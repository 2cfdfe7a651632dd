"""Kafka as a driver saw it at one moment: topics, partitions, beginnings and ends.  Pure; asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from offsets.structs import TopicPartition, TopicState


@dataclass(frozen=True)
class TopicSnapshot:
    """One topic as Kafka described it: its id and, for every partition, ``[beginning, end)``.

    `end` is the last stable offset: what a reader of committed records can reach.  `epochs`: the partitions' leader
    epochs, as far as brokers tell them.  `truncated`: where the log that the register knows ends, for every partition
    in which that is before its offset: what lies behind that end are other records.  `high_watermarks`: where the logs
    end with what open transactions have written; at most so, as they are read before the ends.
    """

    id: str
    partitions: Mapping[int, tuple[int, int]]
    epochs: Mapping[int, int] = field(default_factory=dict)
    truncated: Mapping[int, int] = field(default_factory=dict)
    high_watermarks: Mapping[int, int] = field(default_factory=dict)


Snapshot = Mapping[str, TopicSnapshot]  # by name


class Led(NamedTuple):
    """An offset, and the leader epoch of the log in which it lay; of the log as it is, its epoch and beginning."""

    offset: int
    epoch: int
    now: int
    beginning: int


def led_anew(topics: Mapping[str, TopicState], snapshot: Snapshot) -> dict[TopicPartition, Led]:
    """What to ask about truncation: partitions that have had another leader since the register's offset was known."""
    return {
        TopicPartition(name, p): Led(known.offsets[p], known.epochs[p], now.epochs[p], now.partitions[p][0])
        for name, known in topics.items()
        if (now := snapshot.get(name)) is not None and now.id == known.id
        for p in sorted(known.offsets.keys() & known.epochs.keys() & now.epochs.keys() & now.partitions.keys())
        if now.epochs[p] > known.epochs[p] and known.offsets[p] > now.partitions[p][0]
    }
