"""How many records of each partition one batch may take.  Pure: lags and limits in, numbers out.

`split_by_lag` is Structured Streaming's ``maxOffsetsPerTrigger``.
"""

from __future__ import annotations

from collections.abc import Mapping

from offsets.structs import TopicPartition


def split_by_lag(lags: Mapping[TopicPartition, int], total: int) -> Mapping[TopicPartition, int]:
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
