"""How many records of each partition one batch may take.  Pure: lags and limits in, numbers out.

The rates are those of Spark's direct stream for Kafka 0.10 (``DirectKafkaInputDStream.maxMessagesPerPartition``), the
total is Structured Streaming's ``maxOffsetsPerTrigger``.  All of them count offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offsets.structs import TopicPartition

Shares = Mapping[TopicPartition, int]


@dataclass(frozen=True)
class Rates:
    """Spark's settings, with Spark's defaults.  `offsets.backpressure` uses those from `proportional` on."""

    max_per_partition: int = 0  # a second; 0: no limit
    min_per_partition: int = 1  # a batch, where anything limits at all; positive
    backpressure: bool = False
    initial: int = 0  # a second over all partitions, until there is an estimate; 0: no limit
    estimator: str = "pid"  # the only one there is
    proportional: float = 1.0
    integral: float = 0.2
    derived: float = 0.0
    min_rate: float = 100.0  # a second over all partitions; at least 1

    @property
    def limiting(self) -> bool:
        """Whether these bound the records of a second, so that a batch must not begin before it is due."""
        return self.backpressure or self.max_per_partition > 0


@dataclass(frozen=True)
class Limits:
    """What bounds one batch."""

    total: int | None = None  # source.maxOffsetsPerTrigger; positive
    rates: Rates = Rates()
    seconds: float = 1.0  # the batch interval: what the rates are multiplied by
    estimate: int = 0  # a second over all partitions, as backpressure has it now; 0: none

    def share(self, lags: Shares) -> Shares:
        """Offsets to take from each partition that lags: at least one, never above its lag."""
        allowed = limit_by_rates(lags, self.rates, self.estimate, self.seconds)
        return allowed if self.total is None else split_by_lag(allowed, self.total)


UNLIMITED = Limits()


def limit_by_rates(lags: Shares, rates: Rates, estimate: int, seconds: float) -> Shares:
    """Each lag cut to what the rates allow in `seconds`: the estimate split by lag, at most the maximum, then at least
    the minimum (which Spark's code takes as records a batch, whatever its name says)."""
    lags = {tp: lag for tp, lag in lags.items() if lag > 0}
    if estimate <= 0 and rates.max_per_partition <= 0:
        return lags
    whole, most = sum(lags.values()), rates.max_per_partition or float("inf")
    wanted = {tp: min(lag / whole * estimate, most) if estimate > 0 else most for tp, lag in lags.items()}
    return {tp: min(lag, max(int(seconds * wanted[tp]), rates.min_per_partition)) for tp, lag in lags.items()}


def split_by_lag(lags: Shares, total: int) -> Shares:
    """Offsets to take from each partition that lags: about `total`, in proportion to the lags, never above a lag.

    A share below one is rounded up, so that a small partition beside a huge one is never starved; other shares are
    rounded down.  What rounding down leaves over goes to the largest remainders (ties: by topic and partition), where
    Structured Streaming leaves it to the next batch.  The sum is therefore `total` exactly, unless so many small
    partitions were rounded up that it is more: by fewer than there are of them.  `total` must be positive.
    """
    if total < 1:
        raise ValueError(f"a batch of at most {total} records would never end")
    lags = {tp: lag for tp, lag in lags.items() if lag > 0}
    whole = sum(lags.values())
    if whole <= total:
        return lags
    shares = {tp: divmod(total * lag, whole) for tp, lag in lags.items()}
    taken = {tp: max(share, 1) for tp, (share, _) in shares.items()}
    left = max(total - sum(taken.values()), 0)
    rounded_down = sorted((-rest, tp) for tp, (share, rest) in shares.items() if share and rest)
    for _, tp in rounded_down[:left]:
        taken[tp] += 1
    return taken
