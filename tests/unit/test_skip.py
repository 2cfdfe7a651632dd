"""Going on behind a loss: what is given up, where the new generation begins, and what the register keeps of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets import protocol
from offsets.codec import decode_loss_record, decode_state, digest, encode_loss_record, encode_state
from offsets.errors import DataLossError, ProtocolError, StateDamagedError
from offsets.losses import find_losses
from offsets.planning import Plan, give_up, plan
from offsets.snapshot import TopicSnapshot
from offsets.stores.base import MAX_STATE_BYTES
from offsets.structs import LossRecord, LostRange, Owner, State, TopicState
from streaming.source.planner import CONFIRM_LOOKS, Planner
from streaming.source.subscription import Assign, Subscribe, Subscription, TopicPartition

ME = Owner("h", 1, "s", "r")
Snapshot = dict[str, TopicSnapshot]
KNOWN = {"t": TopicState("id", {0: 3, 1: 9, 2: 4, 3: 1}), "u": TopicState("old", {0: 5, 7: 2})}
NOW = {
    "t": TopicSnapshot("id", {0: (5, 8), 1: (0, 7), 3: (1, 1), 4: (6, 9)}),
    "u": TopicSnapshot("new", {0: (1, 9), 1: (0, 0)}),
}
LOST = (
    LostRange("EXPIRED", "t", 0, 3, 5),
    LostRange("BEYOND_END", "t", 1, 7, 9),
    LostRange("VANISHED", "t", 2, 4, 4),
    LostRange("REPLACED", "u", 0, 5, 5),
    LostRange("REPLACED", "u", 7, 2, 2),
)
NAMED = Subscribe(("t", "u"))
BEHIND = {"t": TopicState("id", {0: 5, 1: 7, 3: 1}), "u": TopicState("new", {0: 1, 1: 0})}


def idle(topics: Mapping[str, TopicState]) -> State:
    return protocol.taken(protocol.created("a", topics, ME, "n0", 1), ME, "n1", 2)


def test_every_kind_is_given_up_by_partition() -> None:
    """Each lost partition goes on at its first readable offset, all others stay; whole topics are named in full."""
    given_up = give_up(KNOWN, NOW, find_losses(KNOWN, NOW))
    assert (given_up.ranges, given_up.losses) == ((), LOST)
    assert given_up.topics == BEHIND
    assert plan(given_up.topics, NOW).topics["t"].offsets == {0: 5, 1: 7, 3: 1, 4: 6}, "new ones at their beginning"


def test_only_what_was_agreed_is_given_up() -> None:
    """A loss that only the last look has seen moves nothing yet."""
    losses = [loss for loss in find_losses(KNOWN, NOW) if loss.kind == "VANISHED"]
    given_up = give_up(KNOWN, NOW, losses)
    assert given_up.losses == (LostRange("VANISHED", "t", 2, 4, 4),)
    assert given_up.topics == {**KNOWN, "t": TopicState("id", {0: 3, 1: 9, 3: 1})}


def test_a_skip_begins_a_generation_and_its_first_batch_forgets_the_losses() -> None:
    """As a reset does, but for the losses, which stay until they are certainly written down."""
    state = protocol.skipped(idle(KNOWN), BEHIND, LOST, "n2", 3)
    assert (state.generation, state.epoch, state.seq, state.step) == (1, 1, 0, "skip")
    assert (state.topics, state.losses) == (BEHIND, LOST)
    taken = protocol.taken(state, ME, "n3", 4)
    assert taken.losses == LOST
    assert protocol.prepared(taken, BEHIND, (), None, "n4", 5).losses == ()
    assert protocol.advanced(taken, BEHIND, (), "n4", 5).losses == ()
    assert protocol.reset(taken, KNOWN, "ann: replay", "n4", 5).losses == ()


@pytest.mark.parametrize(
    ("losses", "why"),
    [
        ((), "losses must be sorted"),
        (LOST[::-1], "losses must be sorted"),
        (LOST + LOST[-1:], "name a partition once"),
        (LOST[1:], "skip moves t-0 from 3 to 5, which is not named lost"),
        (LOST[:2] + LOST[3:], "skip moves t-2 from 4 to None"),
        (LOST[:-1], "skip moves u-7 from 2 to None"),
    ],
)
def test_a_skip_moves_only_what_it_names(losses: tuple[LostRange, ...], why: str) -> None:
    """A defect in the plan cannot make records disappear without a trace."""
    with pytest.raises(ProtocolError, match=why):
        protocol.skipped(idle(KNOWN), BEHIND, losses, "n2", 3)


def test_a_pending_batch_is_finished_first() -> None:
    """Some of its files may be visible already: nothing begins a generation before all of them are."""
    state = protocol.skipped(idle(KNOWN), BEHIND, LOST, "n2", 3)
    pending = protocol.prepared(state, BEHIND, (), None, "n3", 4)
    with pytest.raises(ProtocolError, match="skip is not allowed while the register is pending"):
        protocol.skipped(pending, BEHIND, LOST, "n4", 5)


offsets = st.integers(0, 20)
topics = st.dictionaries(
    st.sampled_from("abc"), st.builds(TopicState, st.just("x"), st.dictionaries(st.integers(0, 3), offsets, max_size=4))
)
spans = st.tuples(offsets, offsets).map(sorted).map(tuple)
described = st.builds(
    TopicSnapshot, st.sampled_from(["x", "y"]), st.dictionaries(st.integers(0, 3), spans, min_size=1, max_size=4)
)


@given(topics, st.fixed_dictionaries(dict.fromkeys("abc", described)))
def test_whatever_is_lost_a_skip_goes_on(known: Mapping[str, TopicState], now: Snapshot) -> None:
    """The protocol takes every plan behind a loss, the next plan finds none, and the register is read back as it is."""
    if losses := find_losses(known, now):
        given_up = give_up(known, now, losses)
        state = protocol.skipped(idle(known), given_up.topics, given_up.losses, "n2", 3)
        assert plan(state.topics, now).losses == ()
        assert decode_state(encode_state(state)) == state
        record = LossRecord("a", 1, state.losses)
        assert decode_loss_record(encode_loss_record(record), "record") == record


def test_ten_thousand_losses_fit_into_the_register() -> None:
    """All partitions of a large job may expire at once."""
    known = {"transactions": TopicState("id", {p: 10**10 + 7 * p for p in range(10_000)})}
    now = {"transactions": TopicSnapshot("id", {p: (2 * 10**10 + 7 * p, 3 * 10**10) for p in range(10_000)})}
    given_up = give_up(known, now, find_losses(known, now))
    state = protocol.skipped(idle(known), given_up.topics, given_up.losses, "n2", 3)
    assert len(encode_state(state)) < MAX_STATE_BYTES * 0.8


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"[[[0,3,7]],[[0,5,9]]]", b"[[[0,3,7]],[[0,5,6]]]"),
        (b"[[[0,3,7]],[[0,5,9]]]", b"[[[0,3,7]],[[0,5]]]"),
        (b"[[[0,3,7]],[[0,5,9]]]", b"[[[0,3,7]]]"),
        (
            b'"EXPIRED":{"t":[[[0,3,7]],[[0,5,9]]]}',
            b'"EXPIRED":{"t":[[[0,3]],[[0,5]]]},"VANISHED":{"t":[[[0,3]],[[0,3]]]}',
        ),
        (b'"generation":1', b'"generation":-1'),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(before: bytes, after: bytes) -> None:
    """Also under a right checksum."""
    losses = (LostRange("EXPIRED", "t", 0, 3, 5), LostRange("EXPIRED", "t", 1, 7, 9))
    header, _, body = encode_loss_record(LossRecord("a", 1, losses)).partition(b"\n")
    assert before in body
    changed = body.replace(before, after)
    data = header.replace(digest(body).encode(), digest(changed).encode()) + b"\n" + changed
    with pytest.raises(StateDamagedError, match="wrong content"):
        decode_loss_record(data, "record")


class FakeBroker:
    """Answers with one snapshot after the other, the last one for ever."""

    def __init__(self, *answers: Snapshot) -> None:
        self.answers = list(answers)

    def existing_topics(self) -> list[str]:
        return []

    def snapshot(self, topics: Sequence[str]) -> Snapshot:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {t: now for t, now in answer.items() if t in topics}


def planned(
    cursor: Mapping[str, TopicState], *answers: Snapshot, subscription: Subscription = NAMED
) -> tuple[Plan, list[float]]:
    """What a planner gave up, if anything, else its plan; and how long it has slept between looks."""
    slept: list[float] = []
    given_up: list[Plan] = []
    broker: Any = FakeBroker(*answers)

    def skip(planned: Plan) -> Mapping[str, TopicState]:
        given_up.append(planned)
        return planned.topics

    found = Planner(broker, subscription, sleep=slept.append, skip=skip).next(cursor)
    assert len(given_up) <= 1
    return (*given_up, found)[0], slept


def test_a_loss_is_given_up_once_every_look_agrees() -> None:
    """Several looks, a second apart: what is skipped is skipped for ever."""
    found, slept = planned(KNOWN, NOW)
    assert (found.losses, found.topics) == (LOST, BEHIND)
    assert slept == [1.0] * CONFIRM_LOOKS


def test_a_stale_look_gives_up_nothing() -> None:
    """An end offset behind the cursor for a moment (a change of leader): the batch is planned as if nothing was."""
    cursor = {"t": TopicState("id", {0: 5})}
    stale, right = {"t": TopicSnapshot("id", {0: (0, 4)})}, {"t": TopicSnapshot("id", {0: (0, 7)})}
    found, _ = planned(cursor, stale, stale, right, subscription=Subscribe(("t",)))
    assert (found.losses, [r.until_offset for r in found.ranges]) == ((), [7])


def test_a_topic_that_is_missing_always_stops() -> None:
    """There is nothing to go on from, and a wrong cluster is the likelier reason; nothing else is given up either."""
    with pytest.raises(DataLossError, match="TOPIC_MISSING u"):
        planned(KNOWN, {"t": NOW["t"]})


def test_what_the_job_does_not_read_stays() -> None:
    """Other partitions of a topic and other topics are in the register as before, whatever Kafka has of them."""
    assigned = Assign(frozenset({TopicPartition("t", 0), TopicPartition("t", 2)}))
    found, _ = planned(KNOWN, NOW, subscription=assigned)
    assert found.losses == (LOST[0], LOST[2])
    assert found.topics == {"t": TopicState("id", {0: 5, 1: 9, 3: 1}), "u": KNOWN["u"]}
    state = protocol.skipped(idle(KNOWN), found.topics, found.losses, "n2", 3)
    assert replace(state, losses=()).topics == found.topics


def test_a_truncated_log_is_lost_once() -> None:
    """Behind an unclean election the register is of the new leader's log: the next plan finds nothing to skip."""
    known = {"t": TopicState("id", {0: 9, 1: 5}, {0: 3, 1: 3})}
    now = {"t": TopicSnapshot("id", {0: (0, 20), 1: (0, 5)}, {0: 4, 1: 3}, truncated={0: 6})}
    given_up = give_up(known, now, find_losses(known, now))
    assert given_up.losses == (LostRange("TRUNCATED", "t", 0, 6, 9),)
    assert given_up.topics == {"t": TopicState("id", {0: 6, 1: 5}, {0: 4, 1: 3})}
