"""Where a first launch begins, by the job's settings and Kafka's answers.  Runs on the driver; writes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from offsets.errors import UnavailableError
from offsets.snapshot import Snapshot
from offsets.starting import AtTimes, Spec, starting_topics, topics_at_times, wanted_times
from offsets.structs import TopicState
from streaming.source.broker import Broker
from streaming.source.subscription import Subscription, visible


def first_topics(
    start: Spec | AtTimes, broker: Broker, subscription: Subscription, snapshot: Snapshot
) -> Mapping[str, TopicState]:
    """The cursor to begin with, for every partition of `snapshot`.  Raises ConfigError with every mistake.

    Times are looked up between two snapshots, so that offsets of a topic that was recreated in between never come
    under the old id: UnavailableError if the two are not of the same topics and partitions.
    """
    if not isinstance(start, AtTimes):
        return starting_topics(start, snapshot)
    found = broker.offsets_for_times(wanted_times(start, snapshot))
    after = visible(subscription, broker.snapshot(tuple(snapshot)))
    if shape(after) != shape(snapshot):
        changed = sorted(name for name, seen in shape(snapshot).items() if shape(after).get(name) != seen)
        raise UnavailableError(
            f"{', '.join(changed)} changed while the starting offsets were looked up", "launch again"
        )
    return topics_at_times(start, found, snapshot, after)


def shape(snapshot: Snapshot) -> Mapping[str, tuple[str, frozenset[int]]]:
    """What must not change between two looks at the same topics: ids and partitions."""
    return {name: (now.id, frozenset(now.partitions)) for name, now in snapshot.items()}
