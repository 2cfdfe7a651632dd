"""Spark's PID rate estimator (``org.apache.spark.streaming.scheduler.rate.PIDRateEstimator``): from what the committed
batches took to the records a second that the next one should read.  Pure: no clock, no state of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from offsets.rate import Rates


@dataclass(frozen=True)
class Measured:
    """One committed batch.  Times in ms; `end_ms` on any clock that never goes back."""

    end_ms: int
    records: int  # offsets, as the limits count them
    processing_ms: int  # from its start to its commit
    scheduling_ms: int  # from when it was due to its start, while the batch before it was still running


@dataclass(frozen=True)
class Estimate:
    """What the estimator remembers of the last batch.  `per_second`: the limit, whole; 0 after only one batch."""

    end_ms: int
    rate: float
    error: float = 0.0
    per_second: int = 0


def estimated(before: Estimate | None, batch: Measured, rates: Rates, interval_ms: int) -> Estimate | None:
    """The estimate after `batch`; the one before where the batch says nothing: no records, no time, out of order."""
    if batch.records <= 0 or batch.processing_ms <= 0 or (before and batch.end_ms <= before.end_ms):
        return before
    processed = batch.records / batch.processing_ms * 1000
    if before is None:
        return Estimate(batch.end_ms, processed)
    error = before.rate - processed
    overflow = batch.scheduling_ms * processed / interval_ms
    change = (error - before.error) / ((batch.end_ms - before.end_ms) / 1000)
    rate = before.rate - rates.proportional * error - rates.integral * overflow - rates.derived * change
    rate = max(rate, rates.min_rate)
    return Estimate(batch.end_ms, rate, error, int(rate))


def limit(estimate: Estimate | None, rates: Rates) -> int:
    """Records a second over all partitions; 0: none, as without backpressure."""
    if not rates.backpressure:
        return 0
    return estimate.per_second if estimate and estimate.per_second > 0 else rates.initial
