"""When batches begin: due times, backlogs, rates, and the end of a run's duration."""

from __future__ import annotations

import pytest

from offsets.planning import Plan
from streaming.run.pacing import Pace, Pacing

ALL, CUT = Plan((), {}, left=0), Plan((), {}, left=5)


@pytest.mark.parametrize(
    ("pace", "plan", "due"),
    [
        (Pace(10.0), ALL, 110.0),  # all there was: an interval after the last one was planned
        (Pace(10.0), CUT, 100.0),  # a backlog is worked off without a pause
        (Pace(10.0, rated=True), CUT, 110.0),  # unless records per second are limited
        (Pace(10.0, rated=True), ALL, 110.0),
        (Pace(10.0, to_ends=True), ALL, 100.0),  # to see at once that nothing is left
        (Pace(10.0, to_ends=True), CUT, 100.0),
        (Pace(10.0, rated=True, to_ends=True), CUT, 110.0),  # limits hold in such a run too
        (Pace(10.0, rated=True, to_ends=True), ALL, 100.0),
    ],
)
def test_due(pace, plan, due) -> None:
    """The first batch is due at once, and the next one when the kind of run and the backlog say."""
    pacing = Pacing(pace)
    assert pacing.due <= 0
    pacing.planned(plan, 100.0)
    assert pacing.due == due


def test_lateness_is_counted_from_the_due_time() -> None:
    """What Spark calls the scheduling delay: none for the first batch, nor for one that is planned in time."""
    pacing = Pacing(Pace(1.0))
    found = []
    for now in (100.0, 101.2, 102.2, 105.2):
        pacing.planned(ALL, now)
        found.append(pacing.late)
    assert found == pytest.approx([0.0, 0.2, 0.0, 2.0])


def test_the_duration_counts_from_the_first_tick() -> None:
    """Later ticks do not prolong it; without one a run is never over."""
    pacing = Pacing(Pace(1.0, duration=90.0))
    assert pacing.over(10_000.0) is None
    pacing.begin(100.0)
    pacing.begin(180.0)
    assert pacing.over(189.9) is None
    assert pacing.over(190.0) == "drained after the 90 s of --duration"
    forever = Pacing(Pace(1.0))
    forever.begin(0.0)
    assert forever.over(1e12) is None
