"""Tells the planner of a stream how fast its batches are processed, as Spark's own RateController does.  Driver."""

from __future__ import annotations

from typing import Any, Protocol

from pyspark.streaming import StreamingListener

from offsets.backpressure import Measured


class Learner(Protocol):
    """A Planner, as far as it is used here."""

    def learn(self, batch: Measured) -> None: ...


class BatchTimes(StreamingListener):
    """For `ssc.addStreamingListener`."""

    def __init__(self, planner: Learner) -> None:
        self._planner = planner

    def onBatchCompleted(self, batchCompleted: Any) -> None:
        info = batchCompleted.batchInfo()
        times = (info.processingDelay(), info.schedulingDelay())
        self._planner.learn(Measured(info.processingEndTime(), info.numRecords(), *times))
