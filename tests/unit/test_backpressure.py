"""Backpressure: Spark's PID rate estimator, with figures worked out by hand from its Scala code."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.backpressure import Estimate, Measured, estimated, limit
from offsets.rate import Rates

ON = Rates(backpressure=True)
BATCHES = (
    Measured(end_ms=5_000, records=1000, processing_ms=500, scheduling_ms=0),  # 2000/s
    Measured(end_ms=6_000, records=1200, processing_ms=800, scheduling_ms=100),  # 1500/s: error 500, overflow 150/s
    Measured(end_ms=8_000, records=3000, processing_ms=1500, scheduling_ms=0),  # 2000/s
)


def rates_after(rates: Rates, *batches: Measured, interval_ms: int = 1000) -> list[float]:
    found: list[float] = []
    estimate: Estimate | None = None
    for batch in batches:
        estimate = estimated(estimate, batch, rates, interval_ms)
        found.append(limit(estimate, rates))
    return found


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (ON, [0, 1470, 2000]),  # 2000 - 500 - 0.2 * 150, then 1470 + 530
        (replace(ON, derived=0.1), [0, 1420, 2054]),  # - 0.1 * 500/1 s, then 1420 + 580 + 0.1 * (580 + 500)/2 s
        (replace(ON, proportional=0.5, integral=0.0), [0, 1750, 1875]),  # 2000 - 250, then 1750 + 125
        (replace(ON, integral=9.9, initial=77), [77, 100, 2000]),  # 2000 - 500 - 1485 = 15, below the minimum of 100
        (replace(ON, min_rate=1800.7), [0, 1800, 2000]),  # cut to a whole number
        (replace(ON, backpressure=False, initial=77), [0, 0, 0]),
    ],
)
def test_estimates_are_those_of_spark(rates, expected) -> None:
    """None after one batch (then the initial rate holds); after it proportional, integral and derivative terms."""
    assert rates_after(rates, *BATCHES) == expected


def test_overflow_counts_by_the_interval() -> None:
    """A delay of 100 ms is a fifth of an interval of 500 ms: 0.2 * 300 records a second less."""
    assert rates_after(ON, *BATCHES[:2], interval_ms=500) == [0, 1440]


@pytest.mark.parametrize(
    "batch",
    [
        replace(BATCHES[2], records=0),
        replace(BATCHES[2], processing_ms=0),
        replace(BATCHES[2], end_ms=6_000),
        replace(BATCHES[2], end_ms=5_500),
    ],
)
def test_batches_that_say_nothing_change_nothing(batch) -> None:
    """No records, no time, or no later than the one before."""
    assert rates_after(ON, *BATCHES[:2], batch)[-1] == 1470
    before = estimated(None, BATCHES[1], ON, 1000)
    assert estimated(before, batch, ON, 1000) is before or batch.end_ms > BATCHES[1].end_ms


measured = st.builds(
    Measured, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6)
)


@given(st.lists(measured, max_size=8), st.integers(100, 10**5))
def test_never_below_the_minimum(batches, interval_ms) -> None:
    """Whatever was measured, an estimate lets at least pid.minRate through."""
    assert all(rate == 0 or rate >= 100 for rate in rates_after(ON, *batches, interval_ms=interval_ms))


@given(st.integers(1, 10**6), st.integers(100, 5000))
def test_follows_the_speed_of_the_batches(records, took_ms) -> None:
    """Batches that are never late settle at the rate at which they are processed."""
    batches = [Measured(n * 5000, records, took_ms, 0) for n in range(1, 4)]
    settled = max(records / took_ms * 1000, 100.0)
    assert rates_after(ON, *batches)[-1] == pytest.approx(settled, abs=1)
