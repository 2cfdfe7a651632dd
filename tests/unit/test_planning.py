"""Planning: ranges from cursor and snapshot, and every loss reported at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.errors import DataLossError
from offsets.losses import find_losses
from offsets.planning import plan
from offsets.rate import Limits
from offsets.snapshot import TopicSnapshot
from offsets.starting import starting_topics
from offsets.structs import OffsetRange, TopicPartition, TopicState


def cursor(**topics: dict[int, int]) -> dict[str, TopicState]:
    return {name: TopicState(f"id-{name}", offsets) for name, offsets in topics.items()}


def snapshot(**topics: dict[int, tuple[int, int]]) -> dict[str, TopicSnapshot]:
    return {name: TopicSnapshot(f"id-{name}", spans) for name, spans in topics.items()}


def test_reads_to_the_end() -> None:
    """Without limits a batch reads all there is; idle partitions have no range; ranges are sorted."""
    planned = plan(cursor(b={1: 4, 0: 2}, a={0: 7}), snapshot(b={0: (0, 9), 1: (0, 4)}, a={0: (0, 8)}))
    assert planned.ranges == (OffsetRange("a", 0, 7, 8), OffsetRange("b", 0, 2, 9))
    assert planned.topics == cursor(b={1: 4, 0: 2}, a={0: 7})


def test_nothing_new() -> None:
    """At the end there is no range, and the cursor is as it was."""
    planned = plan(cursor(t={0: 5}), snapshot(t={0: (5, 5)}), limits=Limits(10))
    assert planned.ranges == ()
    assert planned.topics == cursor(t={0: 5})


def test_new_partitions_and_topics_begin_at_their_beginning() -> None:
    """A partition that appeared since is read from its first record, an empty one is pinned where it begins."""
    planned = plan(cursor(t={0: 5}), snapshot(t={0: (0, 5), 1: (3, 6), 2: (8, 8)}, u={0: (1, 2)}))
    assert planned.ranges == (OffsetRange("t", 1, 3, 6), OffsetRange("u", 0, 1, 2))
    assert planned.topics == cursor(t={0: 5, 1: 3, 2: 8}, u={0: 1})


def test_limit_is_split_by_lag() -> None:
    """The limit is shared in proportion to the lags."""
    planned = plan(cursor(t={0: 100, 1: 0}), snapshot(t={0: (0, 200), 1: (0, 300)}), limits=Limits(40))
    assert planned.ranges == (OffsetRange("t", 0, 100, 110), OffsetRange("t", 1, 0, 30))


def test_targets_cap_the_run() -> None:
    """A run to the ends seen at its start stops there, and leaves partitions that it did not see then."""
    until = {TopicPartition("t", 0): 7, TopicPartition("t", 1): 3}
    planned = plan(cursor(t={0: 5, 1: 4}), snapshot(t={0: (0, 9), 1: (0, 9), 2: (0, 9)}), until=until)
    assert planned.ranges == (OffsetRange("t", 0, 5, 7),)
    assert planned.topics["t"].offsets[2] == 0


def test_target_beyond_the_log_is_no_range_beyond_it() -> None:
    """A target is a cap and never a promise: the log's end counts as well."""
    planned = plan(cursor(t={0: 5}), snapshot(t={0: (0, 6)}), until={TopicPartition("t", 0): 9})
    assert planned.ranges == (OffsetRange("t", 0, 5, 6),)


def test_all_losses_at_once() -> None:
    """Every kind of loss in every partition is in one error, with what is lost and where reading can go on."""
    known = cursor(t={0: 3, 1: 9, 2: 4, 3: 1}, gone={0: 1}) | {"new": TopicState("old-id", {0: 5})}
    now = snapshot(t={0: (5, 8), 1: (0, 7), 3: (1, 1)}, new={0: (0, 9)})
    with pytest.raises(DataLossError) as caught:
        plan(known, now)
    found = [(x.kind, x.topic, x.partition, x.lost_from, x.lost_until, x.resume) for x in caught.value.losses]
    assert found == [
        ("TOPIC_MISSING", "gone", -1, -1, -1, -1),
        ("REPLACED", "new", -1, -1, -1, -1),
        ("EXPIRED", "t", 0, 3, 5, 5),
        ("BEYOND_END", "t", 1, 7, 9, 7),
        ("VANISHED", "t", 2, 4, 4, -1),
    ]
    assert "id was old-id and is id-new" in str(caught.value)
    assert caught.value.exit_status == 3


@pytest.mark.parametrize(
    ("topics", "scope"), [("b a", "--topic a --topic b"), ("a b c d e f", "--all-topics")], ids=["some", "many"]
)
def test_remedy_is_the_exact_command(topics: str, scope: str) -> None:
    """The remedy names the job and the topics with losses, whatever of them is lost; others stay as they are."""
    known = {name: TopicState("old" if name == "a" else "id-" + name, {0: 3}) for name in topics.split()}
    now = {name: TopicSnapshot("id-" + name, {0: (5, 8)}) for name in known}
    with pytest.raises(DataLossError) as caught:
        plan(known | cursor(whole={0: 3}), now | snapshot(whole={0: (0, 3)}), job="orders.cfg")
    assert caught.value.remedy.endswith(f": reset_offsets.py orders.cfg {scope} --to-current --execute")


def test_missing_topic_has_no_offsets_to_offer() -> None:
    """A topic that is not there is first of all a wrong address or a wrong name."""
    with pytest.raises(DataLossError) as caught:
        plan(cursor(t={0: 3}), {})
    assert "correct [kafka] bootstrap.servers or [source]" in caught.value.remedy


spans = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted).map(tuple)
snapshots = st.dictionaries(
    st.sampled_from("ab"),
    st.builds(TopicSnapshot, st.sampled_from(["x", "y"]), st.dictionaries(st.integers(0, 3), spans, max_size=4)),
)
cursors = st.dictionaries(
    st.sampled_from("ab"),
    st.builds(TopicState, st.just("x"), st.dictionaries(st.integers(0, 3), st.integers(0, 20), max_size=4)),
)


@given(cursors, snapshots, st.builds(Limits, st.none() | st.integers(1, 30)))
def test_a_plan_never_skips_and_never_invents(known, now, limit) -> None:
    """Either a loss is reported, or all ranges begin at the cursor, lie inside the log, and keep every known offset."""
    if find_losses(known, now):
        with pytest.raises(DataLossError):
            plan(known, now, limit)
        return
    planned = plan(known, now, limit)
    assert list(planned.ranges) == sorted(planned.ranges)
    for r in planned.ranges:
        beginning, end = now[r.topic].partitions[r.partition]
        assert r.from_offset == known.get(r.topic, TopicState("", {})).offsets.get(r.partition, beginning)
        assert beginning <= r.from_offset < r.until_offset <= end
    for topic, state in known.items():
        assert state.offsets.items() <= planned.topics[topic].offsets.items()


@given(cursors, snapshots)
def test_plans_go_on_to_the_end(known, now) -> None:
    """Planning again from where a limited batch ended reaches the end of every partition, without gap or overlap."""
    if find_losses(known, now):
        return
    topics, batches = known, 0
    while (planned := plan(topics, now, Limits(7))).ranges:
        ends = {(r.topic, r.partition): r.until_offset for r in planned.ranges}
        topics = {
            t: TopicState(s.id, {p: ends.get((t, p), o) for p, o in s.offsets.items()})
            for t, s in planned.topics.items()
        }
        batches += 1
    assert {t: {p: end for p, (_, end) in s.partitions.items()} for t, s in now.items()} == {
        t: dict(s.offsets) for t, s in planned.topics.items()
    }
    assert batches <= 30


def test_starting_offsets_survive_planning() -> None:
    """A cursor made from starting offsets is one that planning accepts."""
    now = snapshot(t={0: (2, 8)})
    assert plan(starting_topics("earliest", now), now).ranges == (OffsetRange("t", 0, 2, 8),)
    assert plan(starting_topics("latest", now), now).ranges == ()


def test_a_target_behind_the_cursor_takes_nothing() -> None:
    """A first launch may begin past the ends of its first look; that is no negative lag of the others'."""
    until = {TopicPartition("t", 0): 3, TopicPartition("t", 1): 4}
    planned = plan(cursor(t={0: 5, 1: 0}), snapshot(t={0: (0, 9), 1: (0, 9)}), Limits(total=10), until=until)
    assert (planned.ranges, planned.left) == ((OffsetRange("t", 1, 0, 4),), 0)
