"""How far a stream without a register has read: in the driver's memory, moved by each plan.  Runs on the driver.

Where it begins is told by the program; what it has processed, the program keeps.  Nothing is skipped: what Kafka no
longer has ends the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from offsets.errors import BatchError, ConfigError, DataLossError
from offsets.nearest import nearest
from offsets.planning import Plan
from offsets.protocol import advance
from offsets.snapshot import Snapshot
from offsets.starting import Spec, starting_topics
from offsets.structs import Loss, OffsetRange, TopicPartition, TopicState
from streaming.source.broker import Broker
from streaming.source.planner import first_snapshot
from streaming.source.subscription import Assign, Subscribe, Subscription

Topics = Mapping[str, TopicState]


class Plans(Protocol):
    """A Planner, as far as it is used here."""

    def next(self, cursor: Topics) -> Plan: ...


@dataclass(frozen=True)
class _Topics(Subscribe):
    setting = "topics"


@dataclass(frozen=True)
class _Partitions(Assign):
    setting = "fromOffsets"


def subscription(topics: Sequence[str], from_offsets: Mapping[TopicPartition, int]) -> Subscription:
    """What a stream of `topics` reads: with `from_offsets` just these partitions, else all, also those to come.

    Raises ConfigError if there are none, or if `from_offsets` is of others.
    """
    if not topics:
        raise ConfigError(["topics names none"], "name one or more")
    named = {tp.topic for tp in from_offsets}
    if from_offsets and named != set(topics):
        told = f"fromOffsets is of topics {_list(named)}, and topics of {_list(topics)}"
        raise ConfigError([told], "let both name the same topics")
    if from_offsets:
        return _Partitions(frozenset(from_offsets))
    return _Topics(tuple(dict.fromkeys(topics)))


def beginning(
    broker: Broker, reads: Subscription, start: str, from_offsets: Mapping[TopicPartition, int]
) -> dict[str, TopicState]:
    """The first positions: `from_offsets`, or at `start` of every partition that there is.

    Raises ConfigError with every topic, partition and offset that is not there.
    """
    snapshot = first_snapshot(broker, reads, {})
    spec: Spec = start
    if from_offsets:
        spec = {name: {tp.partition: o for tp, o in from_offsets.items() if tp.topic == name} for name in snapshot}
    try:
        return starting_topics(spec, snapshot)
    except ConfigError as e:
        raise ConfigError([f"fromOffsets: {problem}" for problem in e.problems], "begin within the log") from e


class Positions:
    """Plans batch after batch; after the first failure none any more."""

    def __init__(self, planner: Plans, topics: Topics, check: Callable[[], None]) -> None:
        """`check` raises if a batch has failed: what comes after it must not be processed as if it had not."""
        self._planner, self._topics, self._check = planner, topics, check
        self._failure: Exception | None = None

    def next(self) -> list[OffsetRange]:
        """One range for each partition that is read, sorted; an empty one where there is nothing new.

        Raises DataLossError, UnavailableError and what `check` raises; then always a BatchError that says the same.
        """
        if self._failure is not None:  # a new one: Spark tells the newest, and each raise makes a trace longer
            raise BatchError(f"the stream has ended: {self._failure}")
        try:
            self._check()
            plan = self._planner.next(self._topics)
        except Exception as e:
            self._failure = e
            raise
        self._topics = advance(plan.topics, plan.ranges)
        return whole(plan)


def whole(plan: Plan) -> list[OffsetRange]:
    """The plan's ranges, and an empty one for each of its other partitions."""
    planned = {r.topic_partition: r for r in plan.ranges}
    return [
        planned.get(TopicPartition(name, p), OffsetRange(name, p, offset, offset))
        for name, topic in sorted(plan.topics.items())
        for p, offset in sorted(topic.offsets.items())
    ]


def refuse_unreadable(ranges: Sequence[OffsetRange], snapshot: Snapshot, existing: Collection[str]) -> None:
    """Raises ConfigError for ranges that no log can have, DataLossError for what Kafka does not have; each names all.

    `snapshot`: of the topics of `ranges`.
    """
    if problems := [p for r in ranges if (p := _impossible(r, snapshot, existing))]:
        raise ConfigError([f"offsetRanges: {p}" for p in dict.fromkeys(problems)], "correct offsetRanges")
    if losses := [loss for r in ranges for loss in _outside(r, snapshot)]:
        raise DataLossError(losses, "ask for what is in the log")


def _impossible(range_: OffsetRange, snapshot: Snapshot, existing: Collection[str]) -> str | None:
    if range_.topic not in snapshot:
        return f"topic {range_.topic} does not exist{nearest(range_.topic, existing)}"
    if range_.partition not in (partitions := snapshot[range_.topic].partitions):
        return f"partition {range_.topic}-{range_.partition} does not exist: there are {len(partitions)}"
    if not 0 <= range_.from_offset <= range_.until_offset:
        return f"{range_} is no range of offsets"
    return None


def _outside(range_: OffsetRange, snapshot: Snapshot) -> Iterator[Loss]:
    (topic, partition, first, until), (begin, end) = range_, snapshot[range_.topic].partitions[range_.partition]
    if first < begin:
        told = f"of {range_}: the log begins at {begin}"
        yield Loss("EXPIRED", topic, partition, first, min(begin, until), begin, told)
    if until > end:
        yield Loss("BEYOND_END", topic, partition, max(end, first), until, end, f"of {range_}: the log ends at {end}")


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(set(names)))
