"""How much of each partition's lag one batch takes: totals and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.rate import Limits, Rates, limit_by_rates, split_by_lag
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


@pytest.mark.parametrize(
    ("given_lags", "rates", "estimate", "seconds", "expected"),
    [
        # Worked out by hand from DirectKafkaInputDStream.maxMessagesPerPartition and clamp.
        ({A: 50, B: 9}, Rates(), 0, 5.0, {A: 50, B: 9}),  # nothing limits
        ({A: 1000, B: 9, C: 0}, Rates(max_per_partition=10), 0, 5.0, {A: 50, B: 9}),
        ({A: 1000, B: 3000}, Rates(), 100, 1.0, {A: 25, B: 75}),  # the estimate is split by lag
        ({A: 1000, B: 3000}, Rates(), 100, 0.25, {A: 6, B: 18}),  # 6.25 and 18.75: cut to whole records
        ({A: 1000, B: 3000}, Rates(max_per_partition=60), 100, 1.0, {A: 25, B: 60}),  # what B leaves, A does not get
        ({A: 1, B: 999_999}, Rates(), 100, 1.0, {A: 1, B: 99}),  # 0.0001 of a record: the minimum is 1
        ({A: 4, B: 999_996}, Rates(min_per_partition=7), 100, 1.0, {A: 4, B: 99}),  # never above the lag
        ({A: 500, B: 500}, Rates(max_per_partition=10, min_per_partition=20), 0, 1.0, {A: 20, B: 20}),
        ({A: 500}, Rates(max_per_partition=1), 0, 0.1, {A: 1}),
        ({A: 0}, Rates(max_per_partition=10), 100, 1.0, {}),
    ],
)
def test_rates_are_those_of_spark(given_lags, rates, estimate, seconds, expected) -> None:
    """Maximum, minimum and estimate, as the Scala source computes them."""
    assert limit_by_rates(given_lags, rates, estimate, seconds) == expected


@given(
    lags,
    st.builds(Rates, st.integers(0, 10**9), st.integers(1, 10**6)),
    st.integers(0, 10**9),
    st.floats(0.1, 86_400),
    st.none() | st.integers(1, 10**9),
)
def test_every_lagging_partition_moves_within_its_limits(given_lags, rates, estimate, seconds, total) -> None:
    """Whatever the limits: a partition that lags gets at least one and at most its lag, maximum and total."""
    taken = Limits(total, rates, seconds, estimate).share(given_lags)
    lagging = {tp: lag for tp, lag in given_lags.items() if lag > 0}
    assert taken.keys() == lagging.keys()
    assert all(1 <= taken[tp] <= lag for tp, lag in lagging.items())
    if rates.max_per_partition:
        most = max(int(rates.max_per_partition * seconds), rates.min_per_partition)
        assert all(n <= most for n in taken.values())
    if estimate:
        assert sum(taken.values()) <= estimate * seconds * (1 + 1e-9) + rates.min_per_partition * len(taken)
    if total is not None:
        assert sum(taken.values()) < total + max(len(taken), 1)
