"""Splitting a batch's total over the partitions that lag."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.rate import split_by_lag
from offsets.structs import TopicPartition

A, B, C = (TopicPartition("t", p) for p in range(3))
lags = st.dictionaries(
    st.builds(TopicPartition, st.just("t"), st.integers(0, 30)), st.integers(-3, 10**12), max_size=12
)


@pytest.mark.parametrize(
    ("given_lags", "total", "expected"),
    [
        ({A: 100, B: 300}, 40, {A: 10, B: 30}),
        ({A: 3, B: 4}, 7, {A: 3, B: 4}),
        ({A: 3, B: 4}, 100, {A: 3, B: 4}),
        ({A: 1_000_000, B: 1}, 10, {A: 9, B: 1}),  # a share below one is rounded up
        ({A: 10, B: 10, C: 10}, 20, {A: 7, B: 7, C: 6}),  # what rounding down leaves over, by partition
        ({A: 10, B: 20, C: 0}, 10, {A: 3, B: 7}),
        ({A: 5, B: 5, C: 5}, 1, {A: 1, B: 1, C: 1}),  # more than the total, rather than starve one
        ({}, 5, {}),
    ],
)
def test_examples(given_lags, total, expected) -> None:
    """In proportion to the lag, nobody starved."""
    assert split_by_lag(given_lags, total) == expected


@given(lags, st.integers(1, 10**12))
def test_bounds(given_lags, total) -> None:
    """Each partition that lags gets at least one and at most its lag; all together the total, or one each too many."""
    taken = split_by_lag(given_lags, total)
    lagging = {tp: lag for tp, lag in given_lags.items() if lag > 0}
    assert taken.keys() == lagging.keys()
    assert all(1 <= taken[tp] <= lag for tp, lag in lagging.items())
    small = sum(total * lag < sum(lagging.values()) for lag in lagging.values())
    least = min(total, sum(lagging.values()))
    assert least <= sum(taken.values()) <= least + max(small - 1, 0)


@given(lags, st.integers(1, 10**9))
def test_proportion(given_lags, total) -> None:
    """No share is more than one away from the exact proportion."""
    whole = sum(lag for lag in given_lags.values() if lag > 0)
    for tp, n in split_by_lag(given_lags, total).items():
        assert abs(n * whole - min(total, whole) * given_lags[tp]) <= whole


@pytest.mark.parametrize("total", [0, -1])
def test_no_total_is_refused(total) -> None:
    """A limit that lets nothing through is a mistake, not a pause."""
    with pytest.raises(ValueError, match="never end"):
        split_by_lag({A: 1}, total)
