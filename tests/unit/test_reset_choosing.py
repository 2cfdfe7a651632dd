"""How a reset looks at Kafka: what it does not believe at once, and what must not change under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from offsets.errors import ConfigError, DataLossError, UnavailableError
from offsets.reset import Reset
from offsets.reset_modes import Mode, ToTime, to_current, to_earliest
from offsets.snapshot import Snapshot, TopicSnapshot
from offsets.structs import Owner, State, TopicPartition, TopicState
from streaming.config.scope import Scope
from streaming.resetting.choosing import Chooser
from streaming.source.subscription import Assign, Subscribe, Subscription

LIVE = {"a": TopicSnapshot("A", {0: (0, 9), 1: (0, 9)})}
STALE = {"a": TopicSnapshot("A", {0: (0, 3), 1: (0, 9)})}
REGISTER = State("f" * 32, 0, 1, Owner("h", 1, "", ""), "n", 0, {"a": TopicState("A", {0: 5, 1: 5})})


class Looks:
    """A broker that answers with one snapshot after another, the last one for ever."""

    def __init__(self, *looks: Snapshot, found: Mapping[TopicPartition, int | None] | None = None) -> None:
        self.looks, self.found, self.asked = list(looks), found or {}, list[Sequence[str]]()

    def snapshot(self, topics: Sequence[str]) -> Snapshot:
        self.asked.append(topics)
        now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {name: now[name] for name in topics if name in now}

    def shapes(self, topics: Sequence[str]) -> Mapping[str, Any]:
        return {name: (of.id, frozenset(of.partitions)) for name, of in self.snapshot(topics).items()}

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int | None]:
        return {tp: self.found[tp] for tp in times}

    def existing_topics(self) -> list[str]:
        return sorted(self.looks[0])

    def truncated(self, led: object) -> Mapping[TopicPartition, int]:
        return {}


def chosen(
    broker: Looks,
    mode: Mode = to_current,
    scope: Scope | None = None,
    reads: Subscription | None = None,
    topics: Mapping[str, TopicState] = REGISTER.topics,
) -> Reset:
    chooser = Chooser(scope, mode, broker, reads, sleep=lambda _: None)  # type: ignore[arg-type]
    return chooser(replace(REGISTER, topics=topics))


def offsets(planned: Reset) -> dict[str, dict[int, int]]:
    return {name: dict(topic.offsets) for name, topic in planned.topics.items()}


def test_an_end_that_is_stale_for_a_moment_is_no_loss() -> None:
    """A broker that lags would have the job go back by records that it has read (SPARK-27281)."""
    assert offsets(chosen(Looks(STALE, LIVE))) == {"a": {0: 5, 1: 5}}
    assert offsets(chosen(Looks(STALE, STALE))) == {"a": {0: 3, 1: 5}}


def test_looks_that_never_agree() -> None:
    other = {"a": TopicSnapshot("A", {0: (0, 9), 1: (0, 3)})}
    with pytest.raises(UnavailableError, match="does not say twice the same"):
        chosen(Looks(STALE, other, STALE, other))


def test_a_topic_that_is_recreated_while_times_are_looked_up() -> None:
    """Offsets of the old topic never come under the new id, nor the other way round."""
    found = {TopicPartition("a", 0): 2, TopicPartition("a", 1): None}
    assert offsets(chosen(Looks(LIVE, found=found), ToTime(1))) == {"a": {0: 2, 1: 9}}
    again = {"a": replace(LIVE["a"], id="B")}
    with pytest.raises(UnavailableError, match="a changed meanwhile"):
        chosen(Looks(LIVE, again, found=found), ToTime(1))


def test_topics_that_a_job_does_not_read_stay() -> None:
    """--all-topics is what the job reads; another topic of the register can be named. Without a job: the register's."""
    topics = {**REGISTER.topics, "b": TopicState("B", {0: 1, 1: 1})}
    live = {**LIVE, "b": TopicSnapshot("B", {0: (0, 9), 1: (0, 9), 2: (0, 9)}), "c": TopicSnapshot("C", {0: (4, 9)})}
    reads_a = Subscribe(("a",))
    assert offsets(chosen(Looks(live), to_earliest, None, reads_a, topics)) == {"a": {0: 0, 1: 0}, "b": {0: 1, 1: 1}}
    assert offsets(chosen(Looks(live), to_earliest, {"b": None}, reads_a, topics))["b"] == {0: 0, 1: 0}
    assert offsets(chosen(Looks(live), to_earliest, None, None, topics)) == {"a": {0: 0, 1: 0}, "b": {0: 0, 1: 0}}
    reads_more = Assign(frozenset({TopicPartition("b", 2), TopicPartition("c", 0)}))
    assert offsets(chosen(Looks(live), to_earliest, None, reads_more, topics)) == {
        "a": {0: 5, 1: 5},
        "b": {0: 1, 1: 1, 2: 0},
        "c": {0: 4},
    }
    again = {**live, "b": replace(live["b"], id="AGAIN")}
    assert offsets(chosen(Looks(again), to_current, None, reads_more, topics))["b"] == {0: 0, 1: 0, 2: 0}


def test_only_what_is_named_is_asked_about() -> None:
    broker = Looks({**LIVE, "b": TopicSnapshot("B", {0: (0, 9)})})
    chosen(broker, to_earliest, {"a": frozenset({1})}, Subscribe(("a", "b")))
    assert broker.asked == [["a"]]


def test_topics_that_kafka_has_not() -> None:
    """One that the register knows is lost; another one has never been there; both only if they are in scope."""
    with pytest.raises(DataLossError, match="TOPIC_MISSING a"):
        chosen(Looks({}), to_earliest)
    with pytest.raises(ConfigError, match="Kafka has no topic ab; did you mean a"):
        chosen(Looks(LIVE), to_earliest, {"ab": None}, Subscribe(("a", "ab")))
    assert offsets(chosen(Looks(LIVE), to_earliest, {"a": None}, Subscribe(("a", "ab")))) == {"a": {0: 0, 1: 0}}


def test_a_register_without_topics() -> None:
    with pytest.raises(ConfigError, match="no topic to reset"):
        chosen(Looks(LIVE), topics={})
