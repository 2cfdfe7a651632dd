"""Which topics and partitions a job reads: named, by a pattern, or partition by partition.  Decides; contacts nobody.

What a subscription does not include stays in the register as it is, and no loss of it stops the run, until a job
includes it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from offsets.snapshot import Snapshot, TopicSnapshot
from offsets.structs import TopicPartition, TopicState

INTERNAL = "__"  # how the names of Kafka's own topics begin

V = TypeVar("V")
Topics = Mapping[str, TopicState]


class Subscription(Protocol):
    """A frozen value; its text is how Structured Streaming describes a source."""

    setting: str  # that a message names

    def topics(self, known: Iterable[str], existing: Callable[[], Collection[str]]) -> tuple[str, ...]:
        """The topics to look at now.  `known` to the register; `existing()` asks Kafka, so only if it must."""
        ...

    def includes(self, topic: str) -> bool:
        """Whether the job reads this topic, or would if it were there."""
        ...

    def partitions(self, topic: str) -> frozenset[int] | None:
        """Those that it reads of a topic that it includes; None: all that there are and will be."""
        ...

    def missing(self, snapshot: Snapshot, known: Topics) -> Iterator[tuple[str, str]]:
        """What it names that neither Kafka nor the register has: in words, and the name for finding the nearest."""
        ...


@dataclass(frozen=True)
class Subscribe:
    """Topics by name.  Partitions that they get later are read from their beginning."""

    names: tuple[str, ...]
    setting = "source.subscribe"

    def topics(self, known: Iterable[str], existing: Callable[[], Collection[str]]) -> tuple[str, ...]:
        return self.names

    def includes(self, topic: str) -> bool:
        return topic in self.names

    def partitions(self, topic: str) -> frozenset[int] | None:
        return None

    def missing(self, snapshot: Snapshot, known: Topics) -> Iterator[tuple[str, str]]:
        return ((f"topic {name}", name) for name in self.names if name not in snapshot and name not in known)

    def __str__(self) -> str:
        return f"Subscribe[{', '.join(sorted(self.names))}]"


@dataclass(frozen=True)
class SubscribePattern:
    """Every topic whose whole name matches a regular expression, in Python's syntax; never one of Kafka's own.

    Topics that come to match later are read from their beginning.  One that the register knows is looked at also when
    Kafka does not have it any more: that is a loss.
    """

    pattern: re.Pattern[str]
    setting = "source.subscribePattern"

    def topics(self, known: Iterable[str], existing: Callable[[], Collection[str]]) -> tuple[str, ...]:
        return tuple(sorted(filter(self.includes, {*known, *existing()})))

    def includes(self, topic: str) -> bool:
        return not topic.startswith(INTERNAL) and self.pattern.fullmatch(topic) is not None

    def partitions(self, topic: str) -> frozenset[int] | None:
        return None

    def missing(self, snapshot: Snapshot, known: Topics) -> Iterator[tuple[str, str]]:
        if not snapshot and not any(map(self.includes, known)):
            yield f"a topic that matches {self.pattern.pattern}", self.pattern.pattern

    def __str__(self) -> str:
        return f"SubscribePattern[{self.pattern.pattern}]"


@dataclass(frozen=True)
class Assign:
    """Partitions one by one.  Others that their topics have, or get later, are not read."""

    named: frozenset[TopicPartition]
    setting = "source.assign"

    def topics(self, known: Iterable[str], existing: Callable[[], Collection[str]]) -> tuple[str, ...]:
        return tuple(sorted({tp.topic for tp in self.named}))

    def includes(self, topic: str) -> bool:
        return any(tp.topic == topic for tp in self.named)

    def partitions(self, topic: str) -> frozenset[int] | None:
        return frozenset(tp.partition for tp in self.named if tp.topic == topic)

    def missing(self, snapshot: Snapshot, known: Topics) -> Iterator[tuple[str, str]]:
        for topic, partition in sorted(self.named):
            if topic not in snapshot and topic not in known:
                yield f"topic {topic}", topic
            elif not (_has(snapshot, topic, partition) or (topic in known and partition in known[topic].offsets)):
                yield f"partition {topic}-{partition}", ""

    def __str__(self) -> str:
        return f"Assign[{', '.join(f'{tp.topic}-{tp.partition}' for tp in sorted(self.named))}]"


def included(subscription: Subscription, topics: Topics) -> dict[str, TopicState]:
    """What of the register's topics the job reads.  A topic of which it reads no known partition still has its id."""
    return {
        name: replace(state, offsets=_restricted(state.offsets, subscription.partitions(name)))
        for name, state in topics.items()
        if subscription.includes(name)
    }


def visible(subscription: Subscription, snapshot: Snapshot) -> dict[str, TopicSnapshot]:
    """What the job reads of a snapshot of its topics."""
    return {name: _seen(now, subscription.partitions(name)) for name, now in snapshot.items()}


def _seen(now: TopicSnapshot, read: frozenset[int] | None) -> TopicSnapshot:
    return replace(now, partitions=_restricted(now.partitions, read), epochs=_restricted(now.epochs, read))


def merged(subscription: Subscription, topics: Topics, changed: Topics) -> dict[str, TopicState]:
    """`changed`, put back into the register's `topics`, of which nothing else changes.

    Nothing survives of a topic that has another id now: offsets of the old one say nothing about the new one.
    """
    return {**topics, **{name: _with_rest(subscription, name, topics.get(name), now) for name, now in changed.items()}}


def _with_rest(subscription: Subscription, name: str, before: TopicState | None, now: TopicState) -> TopicState:
    read = subscription.partitions(name)
    if read is None or before is None or before.id != now.id:
        return now
    rest = {p: o for p, o in before.offsets.items() if p not in read}
    return replace(now, offsets={**rest, **now.offsets}, epochs={**before.epochs, **now.epochs})


def _restricted(partitions: Mapping[int, V], read: frozenset[int] | None) -> Mapping[int, V]:
    return partitions if read is None else {p: value for p, value in partitions.items() if p in read}


def _has(snapshot: Snapshot, topic: str, partition: int) -> bool:
    return topic in snapshot and partition in snapshot[topic].partitions
