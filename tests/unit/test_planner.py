"""The planner's memory, and what it makes of looks at Kafka that do not agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from offsets.backpressure import Measured
from offsets.errors import DataLossError
from offsets.planning import Plan
from offsets.rate import Limits, Rates
from offsets.snapshot import Led, TopicSnapshot
from offsets.structs import OffsetRange, TopicPartition, TopicState
from streaming.source.planner import Planner
from streaming.source.subscription import Subscribe

REGISTER = {"t": TopicState("id", {0: 0, 1: 0})}


class FakeBroker:
    """One topic with a backlog."""

    def existing_topics(self) -> list[str]:
        return ["t"]

    def snapshot(self, topics: Sequence[str]) -> dict[str, TopicSnapshot]:
        return {"t": TopicSnapshot("id", {0: (0, 30_000), 1: (0, 10_000)})}


def planned(planner: Planner) -> Plan:
    return planner.next(REGISTER)


def test_backpressure_follows_the_batches() -> None:
    """The initial rate, then what two batches of an interval of half a second could do; the total caps both."""
    rates = Rates(backpressure=True, initial=800)
    planner = Planner(FakeBroker(), Subscribe(("t",)), Limits(None, rates, 0.5))  # type: ignore[arg-type]
    assert [r.size() for r in planned(planner).ranges] == [300, 100]
    planner.learn(Measured(end_ms=1000, records=400, processing_ms=200, scheduling_ms=0))
    assert planned(planner).size() == 400
    planner.learn(Measured(end_ms=1500, records=400, processing_ms=400, scheduling_ms=0))  # 1000 a second
    assert [r.size() for r in planned(planner).ranges] == [375, 125]
    assert planned(planner).left == 39_500
    planner = Planner(FakeBroker(), Subscribe(("t",)), Limits(40, rates, 0.5))  # type: ignore[arg-type]
    assert [r.size() for r in planned(planner).ranges] == [30, 10]


LED = {"t": TopicState("id", {0: 10}, {0: 3})}
READ = Plan((OffsetRange("t", 0, 10, 20),), LED)


def seen(begin: int = 0, end: int = 20, epoch: int = 3, id_: str = "id") -> dict[str, TopicSnapshot]:
    return {"t": TopicSnapshot(id_, {0: (begin, end)}, {0: epoch})}


class ChangingBroker:
    """Answers with one look after the other; `cut`: where the old epoch ended."""

    def __init__(self, *looks: Mapping[str, TopicSnapshot], cut: int | None = None) -> None:
        self.looks, self.cut, self.asked = list(looks), cut, list[Mapping[TopicPartition, Led]]()

    def existing_topics(self) -> list[str]:
        return ["t"]

    def snapshot(self, topics: Sequence[str]) -> Mapping[str, TopicSnapshot]:
        return self.looks.pop(0)

    def truncated(self, led: Mapping[TopicPartition, Led]) -> dict[TopicPartition, int]:
        self.asked.append(led)
        return {tp: self.cut for tp, at in led.items() if self.cut is not None and self.cut < at.offset}


def planner_of(*looks: Mapping[str, TopicSnapshot], cut: int | None = None) -> tuple[Planner, Any]:
    broker = ChangingBroker(*looks, cut=cut)
    return Planner(broker, Subscribe(("t",)), sleep=lambda _: None), broker  # type: ignore[arg-type]


def test_an_end_behind_the_cursor_is_believed_only_twice() -> None:
    """A broker that lags for a moment costs a second look; the same from both is a loss (K9)."""
    planner, _ = planner_of(seen(end=4), seen(end=13))
    assert planner.next(LED).ranges == (OffsetRange("t", 0, 10, 13),)
    planner, _ = planner_of(seen(end=4), seen(end=4))
    with pytest.raises(DataLossError, match=r"BEYOND_END t-0 \[4,10\)"):
        planner.next(LED)


def test_the_log_is_compared_only_after_a_change_of_leader() -> None:
    """The broker is asked where the old epoch ended once there is a new one; whole, the register learns that one."""
    planner, broker = planner_of(seen(), seen(epoch=5), cut=10)
    assert planner.next(LED).topics["t"].epochs == {0: 3}
    assert not broker.asked
    assert planner.next(LED).topics["t"].epochs == {0: 5}
    assert broker.asked == [{TopicPartition("t", 0): Led(10, 3, 5, 0)}]


def test_a_stale_epoch_is_not_believed() -> None:
    """A broker that lags behind the register does not take the register back."""
    planner, broker = planner_of(seen(epoch=2))
    assert planner.next(LED).topics["t"].epochs == {0: 3}
    assert not broker.asked


@pytest.mark.parametrize(("end", "kind"), [(8, "BEYOND_END"), (10, "TRUNCATED"), (25, "TRUNCATED")])
def test_a_truncated_log_goes_on_where_it_was_cut(end: int, kind: str) -> None:
    """However far it was filled again: what the command goes on from is the cut, and reads what has come since (K8)."""
    planner, _ = planner_of(*[seen(end=end, epoch=4)] * 2, cut=7)
    with pytest.raises(DataLossError, match=rf"{kind} t-0 \[7,10\)") as caught:
        planner.next(LED)
    assert caught.value.losses[0].resume == 7
    assert caught.value.remedy.endswith(": reset_offsets.py JOB.cfg --topic t --to-current --execute")


@pytest.mark.parametrize(
    ("now", "cut", "kind"),
    [
        (seen(epoch=4), 15, "TRUNCATED"),
        (seen(end=15), None, "BEYOND_END"),
        (seen(id_="new"), None, "REPLACED"),
        ({}, None, "TOPIC_MISSING"),
    ],
)
def test_what_was_read_from_another_log_is_not_confirmed(
    now: Mapping[str, TopicSnapshot], cut: int | None, kind: str
) -> None:
    """Cut within the range, ended before it, replaced or gone while it was read; only if two looks agree."""
    planner, _ = planner_of(now, now, cut=cut)
    with pytest.raises(DataLossError, match=kind):
        planner.confirm(READ)
    planner, _ = planner_of(now, seen(), cut=cut)
    planner.confirm(READ)


def test_what_expired_after_it_was_read_is_confirmed() -> None:
    """Retention may take what a batch has: nothing of it is lost (K6)."""
    planner, _ = planner_of(seen(begin=30, end=40))
    planner.confirm(READ)
