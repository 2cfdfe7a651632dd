"""First launches that begin at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from offsets.errors import ConfigError, UnavailableError
from offsets.snapshot import TopicSnapshot
from offsets.starting import AtTimes
from offsets.structs import TopicPartition, TopicState
from streaming.source.beginning import first_topics
from streaming.source.subscription import Assign, Subscribe, Subscription, visible

BEFORE = {"t": TopicSnapshot("id", {0: (2, 8), 1: (0, 5)}), "u": TopicSnapshot("ie", {0: (3, 3)})}
BOTH = Subscribe(("t", "u"))


class Asked:
    """A broker that finds offset `found[...]`, and `after` in the snapshot that follows."""

    def __init__(
        self, found: Mapping[tuple[str, int], int | None], after: Mapping[str, TopicSnapshot] = BEFORE
    ) -> None:
        self.found, self.after = found, after
        self.times: Mapping[TopicPartition, int] = {}

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        self.times = times
        return {tp: self.found[tp] for tp in times}

    def snapshot(self, topics: Sequence[str]) -> dict[str, TopicSnapshot]:
        return {name: self.after[name] for name in topics if name in self.after}


def begin(start: AtTimes, broker: Any, subscription: Subscription = BOTH) -> Mapping[str, TopicState]:
    seen = {name: BEFORE[name] for name in subscription.topics((), list)}
    return first_topics(start, broker, subscription, visible(subscription, seen))


def test_one_time_for_all() -> None:
    """Every partition that is read is looked up at it, and begins at the record found."""
    broker = Asked({("t", 0): 4, ("t", 1): 0, ("u", 0): 3})
    assert begin(AtTimes(99), broker) == {"t": TopicState("id", {0: 4, 1: 0}), "u": TopicState("ie", {0: 3})}
    assert broker.times == {("t", 0): 99, ("t", 1): 99, ("u", 0): 99}


def test_a_time_for_every_partition() -> None:
    """By the partitions' own times; only those that are assigned have to be named."""
    broker = Asked({("t", 1): 4})
    subscription = Assign(frozenset({TopicPartition("t", 1)}))
    assert begin(AtTimes({"t": {1: 7}}), broker, subscription) == {"t": TopicState("id", {1: 4})}
    assert broker.times == {("t", 1): 7}


def test_exactly_the_partitions_that_are_read_must_be_named() -> None:
    """All mistakes at once, before Kafka is asked anything."""
    with pytest.raises(ConfigError) as caught:
        begin(AtTimes({"t": {0: 1, 5: 1}, "uu": {0: 1}}), Asked({}))
    assert caught.value.problems == (
        "source.startingOffsetsByTimestamp names topic uu, which is not read; did you mean u?",
        "t-5 is not read: its partitions are 0, 1",
        "source.startingOffsetsByTimestamp says nothing about t-1 [0,5]",
        "source.startingOffsetsByTimestamp says nothing about topic u; did you mean uu?",
    )


def test_a_time_after_the_last_record() -> None:
    """Stops, naming every such partition; or begins at the end, if the strategy says so."""
    broker = Asked({("t", 0): None, ("t", 1): 1, ("u", 0): None})
    with pytest.raises(ConfigError, match=r"t-0: no record at or after .*; u-0: no record") as caught:
        begin(AtTimes(99), broker)
    assert "startingOffsetsByTimestampStrategy = latest" in caught.value.remedy
    assert begin(AtTimes(99, latest=True), broker)["t"] == TopicState("id", {0: 8, 1: 1})


def test_records_that_come_and_go_while_it_is_looked_up() -> None:
    """Ends and beginnings are those of after the question: what came is no mistake, what expired is not waited for."""
    after = {"t": TopicSnapshot("id", {0: (6, 30), 1: (0, 5)}), "u": TopicSnapshot("ie", {0: (3, 9)})}
    broker = Asked({("t", 0): 4, ("t", 1): 5, ("u", 0): 7}, after)
    assert begin(AtTimes(99), broker) == {"t": TopicState("id", {0: 6, 1: 5}), "u": TopicState("ie", {0: 7})}


def test_records_that_come_behind_the_question_are_not_skipped() -> None:
    """They may be of the time asked for, so the end is that of before the question, as far as it is still there."""
    after = {"t": TopicSnapshot("id", {0: (2, 30), 1: (7, 9)}), "u": TopicSnapshot("ie", {0: (2, 2)})}
    broker = Asked({("t", 0): None, ("t", 1): None, ("u", 0): None}, after)
    assert begin(AtTimes(99, latest=True), broker) == {
        "t": TopicState("id", {0: 8, 1: 7}),
        "u": TopicState("ie", {0: 2}),
    }


@pytest.mark.parametrize(
    "now", [{}, {"t": TopicSnapshot("new", {0: (2, 8), 1: (0, 5)})}, {"t": TopicSnapshot("id", {0: (2, 8)})}]
)
def test_a_topic_that_changed_meanwhile(now: Mapping[str, TopicSnapshot]) -> None:
    """Offsets that were found in one topic are never pinned under the id of another."""
    with pytest.raises(UnavailableError, match="t changed"):
        begin(AtTimes(99), Asked({("t", 0): 4, ("t", 1): 0, ("u", 0): 3}, {"u": BEFORE["u"], **now}))


def test_words_and_offsets_need_no_look() -> None:
    """As before, from the snapshot alone."""
    broker: Any = None
    assert first_topics("latest", broker, BOTH, BEFORE)["u"] == TopicState("ie", {0: 3})
