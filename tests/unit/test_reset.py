"""Where a reset moves offsets, against literals."""

from __future__ import annotations

import pytest

from offsets.errors import ConfigError
from offsets.reset import Reset, plan_reset
from offsets.reset_modes import (
    Mode,
    ShiftBy,
    Target,
    ToOffset,
    ToOffsets,
    ToTime,
    to_current,
    to_earliest,
    to_latest,
)
from offsets.snapshot import TopicSnapshot
from offsets.structs import TopicPartition, TopicState

KNOWN = {"a": TopicState("A", {0: 5, 1: 15}, {0: 3, 1: 3}), "b": TopicState("B", {0: 7}, {0: 1})}
NOW = {"a": TopicSnapshot("A", {0: (2, 10), 1: (12, 20)}, {0: 4, 1: 4}), "b": TopicSnapshot("B", {0: (0, 9)}, {0: 1})}
A0, A1 = TopicPartition("a", 0), TopicPartition("a", 1)
BOTH = {"a": [0, 1]}


def new(reset: Reset) -> dict[tuple[str, int], int | None]:
    return {(move.topic, move.partition): move.new for move in reset.moves}


def notes(reset: Reset) -> list[str]:
    return [move.note for move in reset.moves]


@pytest.mark.parametrize(
    ("mode", "offsets"),
    [
        (to_earliest, (2, 12)),
        (to_latest, (10, 20)),
        (to_current, (5, 15)),
        (ToOffset(9), (9, 12)),
        (ToOffset(13), (10, 13)),
        (ShiftBy(-3), (2, 12)),
        (ShiftBy(2), (7, 17)),
        (ShiftBy(10**18), (10, 20)),
        (ToTime(1), (4, 20)),
        (ToOffsets({"a": {0: -2, 1: -1}}), (2, 20)),
        (ToOffsets({"a": {0: 8, 1: 99}}), (8, 20)),
    ],
    ids=str,
)
def test_each_mode(mode: Mode, offsets: tuple[int, int]) -> None:
    """Within what Kafka has; the partitions of other topics stay as they are, object for object."""
    reset = plan_reset(KNOWN, NOW, BOTH, mode, {A0: 4, A1: None})
    assert new(reset) == {("a", 0): offsets[0], ("a", 1): offsets[1]}
    assert reset.topics["a"].offsets == {0: offsets[0], 1: offsets[1]}
    assert reset.topics["b"] is KNOWN["b"]


def test_what_is_read_again_and_what_is_skipped() -> None:
    moves = plan_reset(KNOWN, NOW, BOTH, ToOffset(13)).moves
    assert [(m.current, m.new, m.again, m.skipped) for m in moves] == [(5, 10, 0, 5), (15, 13, 2, 0)]


def test_what_was_moved_into_the_log_is_said() -> None:
    assert notes(plan_reset(KNOWN, NOW, BOTH, ToOffset(1))) == [
        "1 is before the log start 2",
        "1 is before the log start 12",
    ]
    assert notes(plan_reset(KNOWN, NOW, BOTH, ShiftBy(7))) == ["12 is behind the last stable offset 10", "22 is "
        "behind the last stable offset 20"]  # fmt: skip
    assert notes(plan_reset(KNOWN, NOW, BOTH, ToTime(1), {A0: 4})) == ["", "no record at or after the time"]


def test_partitions_out_of_scope_stay_with_their_leader_epochs() -> None:
    """Their logs have yet to be compared; a partition that was placed anew lies in the log as it is."""
    topic = plan_reset(KNOWN, NOW, {"a": [1]}, to_earliest).topics["a"]
    assert topic == TopicState("A", {0: 5, 1: 12}, {0: 3, 1: 4})


def test_staying_compares_nothing() -> None:
    """--to-current vouches for nothing: what does not move keeps the leader epoch in which its offset was known."""
    assert plan_reset(KNOWN, NOW, BOTH, to_current).topics == KNOWN


def test_new_partitions_and_topics() -> None:
    """They are added; only a shift has nothing to begin from, and names all of them at once."""
    known = {"a": TopicState("A", {0: 5})}
    assert new(plan_reset(known, NOW, {"a": [1], "b": [0]}, to_latest)) == {("a", 1): 20, ("b", 0): 9}
    reset = plan_reset(known, NOW, {"a": [1], "b": [0]}, to_current)
    assert new(reset) == {("a", 1): 12, ("b", 0): 0}
    assert notes(reset) == ["new to the register"] * 2
    with pytest.raises(ConfigError) as refused:
        plan_reset(known, NOW, {"a": [0, 1], "b": [0]}, ShiftBy(1))
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["a-1", "b-0"]


LOST = {"t": TopicState("T", {0: 3, 1: 30, 2: 15, 3: 4}, {0: 1, 1: 1, 2: 1, 3: 1})}
HAS = {"t": TopicSnapshot("T", {0: (7, 20), 1: (0, 20), 2: (0, 20)}, {0: 2, 1: 2, 2: 2}, truncated={2: 11})}


def test_behind_every_kind_of_loss() -> None:
    """--to-current goes on where a skip would, in the log as it is; what is lost stands beside each."""
    reset = plan_reset(LOST, HAS, {"t": [0, 1, 2, 3]}, to_current)
    assert [(m.partition, m.current, m.new) for m in reset.moves] == [(0, 3, 7), (1, 30, 20), (2, 15, 11), (3, 4, None)]
    kinds = ["EXPIRED t-0 [3,7)", "BEYOND_END t-1 [20,30)", "TRUNCATED t-2 [11,15)", "VANISHED t-3 [4,4)"]
    assert [note.partition(" (")[0] for note in notes(reset)] == kinds
    assert reset.topics["t"] == TopicState("T", {0: 7, 1: 20, 2: 11}, {0: 2, 1: 2, 2: 2})
    assert [(m.again, m.skipped) for m in reset.moves] == [(0, 4), (0, 0), (0, 0), (None, None)]


def test_records_of_another_log_are_not_read_again() -> None:
    """Behind an end or a cut nothing was ever read of what lies there, or will."""
    wanted = {"t": [1, 2]}
    assert [(m.again, m.skipped) for m in plan_reset(LOST, HAS, wanted, ToOffset(8)).moves] == [(12, 0), (3, 0)]
    assert [(m.again, m.skipped) for m in plan_reset(LOST, HAS, wanted, to_latest).moves] == [(0, 0), (0, 9)]


def test_one_loss_of_several() -> None:
    """The others stay as they are, lost: the next launch names them."""
    assert plan_reset(LOST, HAS, {"t": [0]}, to_current).topics["t"].offsets == {0: 7, 1: 30, 2: 15, 3: 4}


RECREATED = {"a": TopicSnapshot("NEW", {0: (0, 3), 1: (1, 4)}, {0: 0})}


@pytest.mark.parametrize(("mode", "offsets"), [(to_current, {0: 0, 1: 1}), (to_latest, {0: 3, 1: 4})])
def test_a_topic_that_was_recreated(mode: Mode, offsets: dict[int, int]) -> None:
    """Under its new id, with nothing of the old one; how much is read again or skipped cannot be told."""
    reset = plan_reset(
        {"a": TopicState("A", {0: 5, 1: 15, 2: 9}, {0: 3, 1: 3, 2: 3})}, RECREATED, {"a": [0, 1, 2]}, mode
    )
    assert reset.topics["a"] == TopicState("NEW", offsets, {0: 0})
    assert {(m.again, m.skipped) for m in reset.moves} == {(None, None)}
    assert all(note.startswith("REPLACED a (its id was A and is NEW") for note in notes(reset))


def test_nothing_survives_of_a_topic_that_was_recreated() -> None:
    """Also of partitions that it has no more, and that nobody has named."""
    known = {"a": TopicState("A", {0: 5, 1: 15, 2: 9})}
    assert plan_reset(known, RECREATED, BOTH, to_earliest).topics["a"].offsets == {0: 0, 1: 1}


def test_a_topic_that_was_recreated_must_be_reset_whole() -> None:
    with pytest.raises(ConfigError, match="a was deleted and created again: name it whole"):
        plan_reset(KNOWN, RECREATED, {"a": [0]}, to_earliest)
    with pytest.raises(ConfigError, match="a-0: the register has no offset that could be shifted; REPLACED"):
        plan_reset(KNOWN, RECREATED, BOTH, ShiftBy(1))


def test_modes_are_asked_only_about_partitions_that_are_there() -> None:
    """A partition that has vanished is dropped, whatever the mode."""

    def never(seen: object) -> Target:
        raise AssertionError(seen)

    assert new(plan_reset(LOST, HAS, {"t": [3]}, never)) == {("t", 3): None}
