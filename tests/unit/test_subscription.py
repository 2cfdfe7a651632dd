"""What a job reads, and what stays as it is in the register while jobs change how they name it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.errors import ConfigError, DataLossError
from offsets.snapshot import TopicSnapshot
from offsets.structs import OffsetRange, TopicPartition, TopicState
from streaming.source.planner import Planner, first_snapshot
from streaming.source.subscription import Assign, Subscribe, SubscribePattern, Subscription, included, merged, visible

Register = dict[str, TopicState]


def pattern(text: str) -> SubscribePattern:
    return SubscribePattern(re.compile(text))


def assign(**partitions: Sequence[int]) -> Assign:
    return Assign(frozenset(TopicPartition(t, p) for t, ps in partitions.items() for p in ps))


class Cluster:
    """A broker with these topics: name -> ends of its partitions; every log begins at 0."""

    def __init__(self, **topics: Sequence[int]) -> None:
        self.topics = {name: TopicSnapshot(f"id-{name}", self.spans(ends)) for name, ends in topics.items()}

    @staticmethod
    def spans(ends: Sequence[int]) -> Mapping[int, tuple[int, int]]:
        return {p: (0, end) for p, end in enumerate(ends)}

    def snapshot(self, topics: Sequence[str]) -> dict[str, TopicSnapshot]:
        return {name: self.topics[name] for name in topics if name in self.topics}

    def existing_topics(self) -> list[str]:
        return sorted(self.topics)

    def plan(self, subscription: Subscription, register: Register) -> tuple[list[OffsetRange], Register]:
        """The ranges of the next batch, and the register after its commit."""
        broker: Any = self
        planned = Planner(broker, subscription, sleep=lambda _: None).next(register)
        ends = {(r.topic, r.partition): r.until_offset for r in planned.ranges}
        after = {
            t: TopicState(s.id, {p: ends.get((t, p), o) for p, o in s.offsets.items()})
            for t, s in planned.topics.items()
        }
        return list(planned.ranges), after


def offsets(register: Register) -> dict[str, dict[int, int]]:
    return {name: dict(state.offsets) for name, state in register.items()}


def first(cluster: Cluster, subscription: Subscription, register: Register | None = None) -> Mapping[str, Any]:
    broker: Any = cluster
    return first_snapshot(broker, subscription, register or {})


def test_a_pattern_matches_whole_names() -> None:
    """Python's full match: a part of a name is no match, alternatives need no brackets of their own."""
    subscription = pattern("orders|orders-.*")
    assert [t for t in ("orders", "orders-eu", "old-orders", "orders2") if subscription.includes(t)] == [
        "orders",
        "orders-eu",
    ]


@pytest.mark.parametrize("text", [".*", "__consumer_offsets", "__.*"])
def test_kafkas_own_topics_never_match(text: str) -> None:
    """Also when the pattern names them."""
    assert not pattern(text).includes("__consumer_offsets")
    assert pattern(text).topics(["__transaction_state"], lambda: ["__consumer_offsets"]) == ()


def test_topics_that_come_to_match_begin_at_their_beginning() -> None:
    """None of their first records is lost; the cursor of those known before goes on."""
    cluster = Cluster(a1=[5], b=[7])
    ranges, register = cluster.plan(pattern("a."), {"a1": TopicState("id-a1", {0: 3})})
    assert ranges == [OffsetRange("a1", 0, 3, 5)]
    cluster.topics |= Cluster(a2=[4, 2]).topics
    ranges, register = cluster.plan(pattern("a."), register)
    assert ranges == [OffsetRange("a2", 0, 0, 4), OffsetRange("a2", 1, 0, 2)]
    assert offsets(register) == {"a1": {0: 5}, "a2": {0: 4, 1: 2}}


def test_a_matching_topic_that_vanished_is_a_loss() -> None:
    """Kafka no longer lists it, so only the register tells that it was read."""
    with pytest.raises(DataLossError, match="TOPIC_MISSING a2"):
        Cluster(a1=[5]).plan(pattern("a."), {"a2": TopicState("id-a2", {0: 3})})


def test_a_listing_that_lags_is_no_loss() -> None:
    """A broker that lists a known topic late still describes it."""
    cluster = Cluster(a1=[5], a2=[7])
    cluster.existing_topics = lambda: ["a1"]  # type: ignore[method-assign]
    ranges, _ = cluster.plan(pattern("a."), {"a2": TopicState("id-a2", {0: 3})})
    assert ranges == [OffsetRange("a1", 0, 0, 5), OffsetRange("a2", 0, 3, 7)]


def test_what_is_not_there_is_told_with_the_nearest_name() -> None:
    """Topic, pattern and partition; nothing of it is left to a later batch."""
    cluster = Cluster(orders=[1, 1], users=[1])
    for subscription, told in (
        (Subscribe(("order",)), "source.subscribe: topic order does not exist; did you mean orders?"),
        (
            pattern("ordrs.*"),
            "source.subscribePattern: a topic that matches ordrs.* does not exist; did you mean orders?",
        ),
        (assign(user=[0]), "source.assign: topic user does not exist; did you mean users?"),
        (
            assign(orders=[1, 2, 7]),
            "source.assign: partition orders-2 does not exist; source.assign: partition orders-7",
        ),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            first(cluster, subscription)


def test_what_the_register_knows_is_a_loss_and_no_mistake() -> None:
    """A topic or partition that was read before: planning says that it is gone."""
    register = {"t": TopicState("id-t", {0: 1, 5: 2})}
    for subscription, loss in ((assign(t=[5]), "VANISHED t-5"), (assign(gone=[0]), "TOPIC_MISSING gone")):
        known = register | {"gone": TopicState("id", {0: 1})}
        first(Cluster(t=[4]), subscription, known)
        with pytest.raises(DataLossError, match=loss):
            Cluster(t=[4]).plan(subscription, known)
    assert first(Cluster(t=[4]), pattern("g.*"), {"gone": TopicState("id", {0: 1})}) == {}


def test_assigned_partitions_alone_are_read() -> None:
    """Others of their topics are not in the register, also when the topic grows."""
    cluster = Cluster(t=[5, 6, 7])
    assert first(cluster, assign(t=[0, 2]))["t"].partitions == {0: (0, 5), 2: (0, 7)}
    ranges, register = cluster.plan(assign(t=[0, 2]), {})
    assert [(r.partition, r.until_offset) for r in ranges] == [(0, 5), (2, 7)]
    assert offsets(register) == {"t": {0: 5, 2: 7}}


def test_a_partition_that_is_dropped_waits_in_the_register() -> None:
    """Named again, it goes on where it was: nothing is lost or read twice."""
    cluster = Cluster(t=[5, 5])
    _, register = cluster.plan(assign(t=[0, 1]), {})
    cluster.topics |= Cluster(t=[9, 9]).topics
    ranges, register = cluster.plan(assign(t=[1]), register)
    assert (ranges, offsets(register)) == ([OffsetRange("t", 1, 5, 9)], {"t": {0: 5, 1: 9}})
    ranges, register = cluster.plan(assign(t=[0, 1]), register)
    assert (ranges, offsets(register)) == ([OffsetRange("t", 0, 5, 9)], {"t": {0: 9, 1: 9}})


def test_a_loss_of_what_is_not_read_stops_nothing() -> None:
    """Expired, vanished, missing or replaced: whatever the job does not name any more."""
    register = {
        "t": TopicState("id-t", {0: 2, 7: 3}),
        "gone": TopicState("x", {0: 1}),
        "new": TopicState("old", {0: 1}),
    }
    cluster = Cluster(t=[4, 4], new=[9])
    for subscription in (assign(t=[0]), assign(t=[0, 1])):
        _, after = cluster.plan(subscription, register)
        assert offsets(after)["t"] == {**{tp.partition: 4 for tp in subscription.named}, 7: 3}
        assert (after["gone"], after["new"]) == (register["gone"], register["new"])


def test_a_recreated_topic_is_a_loss_whichever_partition_is_named() -> None:
    """The register knows only partition 0 of the old one, and the job names 1: its id is compared nevertheless."""
    with pytest.raises(DataLossError, match="REPLACED t"):
        Cluster(t=[4, 4]).plan(assign(t=[1]), {"t": TopicState("old", {0: 2})})


def test_offsets_of_a_recreated_topic_do_not_survive() -> None:
    """After a reset to the new id, a partition that is named later begins at its beginning."""
    register = merged(assign(t=[1]), {"t": TopicState("old", {0: 2, 1: 2})}, {"t": TopicState("id-t", {1: 0})})
    assert offsets(register) == {"t": {1: 0}}
    ranges, _ = Cluster(t=[4, 4]).plan(Subscribe(("t",)), register)
    assert ranges == [OffsetRange("t", 0, 0, 4), OffsetRange("t", 1, 0, 4)]


SUBSCRIPTIONS = (
    Subscribe(("a", "b")),
    Subscribe(("a",)),
    pattern("a|c"),
    pattern(".*"),
    assign(a=[0, 2], b=[1]),
    assign(c=[0]),
)


@given(
    st.lists(st.tuples(st.sampled_from(SUBSCRIPTIONS), st.lists(st.integers(0, 5), min_size=9, max_size=9)), max_size=8)
)
def test_changing_between_the_three_loses_and_doubles_nothing(
    launches: list[tuple[Subscription, list[int]]],
) -> None:
    """Launch after launch under another subscription while records arrive: of each partition that was ever read, what
    was read is gapless from its beginning, in order, and what is not read does not move."""
    ends = dict.fromkeys(((t, p) for t in "abc" for p in range(3)), 0)
    register: Register = {}
    read = dict.fromkeys(ends, 0)
    for subscription, arrived in launches:
        ends = {tp: end + more for (tp, end), more in zip(ends.items(), arrived, strict=True)}
        cluster = Cluster(**{t: [ends[t, p] for p in range(3)] for t in "abc"})
        before = offsets(register)
        ranges, register = cluster.plan(subscription, register)
        for r in ranges:
            assert r.from_offset == read[r.topic, r.partition]
            read[r.topic, r.partition] = r.until_offset
        for t, p in ends:
            wanted = subscription.includes(t) and p in (subscription.partitions(t) or range(3))
            assert (
                (read[t, p] == ends[t, p])
                if wanted
                else (before.get(t, {}).get(p) == offsets(register).get(t, {}).get(p))
            )


def test_restricting_leaves_nothing_out() -> None:
    """What is included and what is merged back are the register again; a snapshot is cut alike."""
    register = {"a": TopicState("i", {0: 1, 1: 2}), "b": TopicState("j", {0: 3})}
    for subscription in SUBSCRIPTIONS:
        assert merged(subscription, register, included(subscription, register)) == register
    seen = visible(assign(a=[1]), {"a": TopicSnapshot("i", {0: (0, 1), 1: (0, 2)})})
    assert seen == {"a": TopicSnapshot("i", {1: (0, 2)})}


def test_described_as_structured_streaming_does() -> None:
    """For the summary of a run."""
    assert [str(s) for s in (SUBSCRIPTIONS[0], SUBSCRIPTIONS[2], SUBSCRIPTIONS[4])] == [
        "Subscribe[a, b]",
        "SubscribePattern[a|c]",
        "Assign[a-0, a-2, b-1]",
    ]


def test_leader_epochs_of_what_is_not_read_stay() -> None:
    """Nobody has looked whether that log is still the one of its offset."""
    known = {"t": TopicState("id", {0: 5, 1: 7}, {0: 1, 1: 1})}
    now = visible(assign(t=[1]), {"t": TopicSnapshot("id", {0: (0, 9), 1: (0, 9)}, {0: 2, 1: 2})})
    assert now["t"].epochs == {1: 2}
    changed = {"t": TopicState("id", {1: 7}, {1: 2})}
    assert merged(assign(t=[1]), known, changed) == {"t": TopicState("id", {0: 5, 1: 7}, {0: 1, 1: 2})}
