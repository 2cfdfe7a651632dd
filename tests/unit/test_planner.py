"""The planner's memory: what committed batches say of the rate reaches the next plan."""

from __future__ import annotations

from collections.abc import Sequence

from offsets.backpressure import Measured
from offsets.planning import Plan, TopicSnapshot
from offsets.rate import Limits, Rates
from offsets.structs import TopicState
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
