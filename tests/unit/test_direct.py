"""Planning at batch time: once per time, never for the past."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta, timezone

from offsets.structs import OffsetRange
from streaming.spark.direct import PlannedRanges, millis

NOW = datetime(2026, 11, 21, 12, 0, 0)


def planned() -> tuple[PlannedRanges, list[datetime], list[datetime]]:
    calls: list[datetime] = []
    reports: list[datetime] = []

    def plan(time: datetime) -> list[OffsetRange]:
        calls.append(time)
        return [OffsetRange("t", 0, len(calls), len(calls) + 1)]

    return PlannedRanges(plan, lambda time, _: reports.append(time)), calls, reports


def test_two_outputs_share_one_plan() -> None:
    """Asked twice for one batch time, it plans and reports once."""
    ranges, calls, reports = planned()
    assert ranges.at(NOW) == ranges.at(NOW) == [OffsetRange("t", 0, 1, 2)]
    assert (calls, reports) == ([NOW], [NOW])


def test_a_past_time_is_refused() -> None:
    """A late question about an earlier batch neither plans nor repeats."""
    ranges, calls, _ = planned()
    ranges.at(NOW)
    assert ranges.at(NOW - timedelta(seconds=1)) == ()
    assert calls == [NOW]


def test_nothing_to_read_is_not_reported() -> None:
    """An empty plan leaves Spark's input size alone."""
    reports: list[datetime] = []
    ranges = PlannedRanges(lambda _: (), lambda time, _: reports.append(time))
    assert ranges.at(NOW) == ()
    assert reports == []


def test_the_end_of_summer_time_is_no_step_back() -> None:
    """PySpark's naive local times repeat an hour in autumn; the fold tells them apart."""
    first, second = datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 30, fold=1)
    assert millis(datetime(2026, 1, 1, tzinfo=timezone.utc)) == 1767225600000
    assert millis(second) >= millis(first)


def test_ranges_pickle_small() -> None:
    """A range crosses to the executors as a plain tuple of its own."""
    range_ = OffsetRange("t", 1, 2, 3)
    assert pickle.loads(pickle.dumps(range_)) == range_
