"""The direct DStream of a program of the user's: planned once a batch, read by whatever looks at its records.

Runs on the driver.  A transformation or an output of the stream itself reads in the same Python pass that works on the
records, and each of them reads anew: cache() a stream that has several.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark import RDD
from pyspark.streaming import DStream, StreamingContext
from pyspark.streaming.dstream import TransformedDStream

from offsets import structs
from offsets.errors import BatchError
from streaming.direct.rdd import KafkaRDD, forget, kafka_rdd, remember
from streaming.direct.reading import ReadTask
from streaming.spark.direct import OfThisRun, millis, range_stream

if TYPE_CHECKING:
    from pyspark import SparkContext

T = TypeVar("T")
Ranges = Sequence[structs.OffsetRange]
Plan = Callable[[], Ranges]


class KafkaDStream(TransformedDStream[T]):
    """Records of Kafka: a batch's RDD has one partition for each range, in order."""

    def __init__(self, ranges: DStream[structs.OffsetRange], records: _Records) -> None:
        super().__init__(ranges, records)
        self._ranges, self._records = ranges, records

    def transform(self, func: Callable[..., Any]) -> TransformedDStream[Any]:
        """`func(rdd)` or `func(time, rdd)`, called once a batch on the driver with the batch's KafkaRDD."""
        if self._read_by_itself:
            return super().transform(func)
        return TransformedDStream(self._ranges, _composed(func, self._records))

    def foreachRDD(self, func: Callable[..., Any]) -> None:
        """`func(rdd)` or `func(time, rdd)`, called once a batch on the driver with the batch's KafkaRDD."""
        if self._read_by_itself:
            return super().foreachRDD(func)
        return self._ranges.foreachRDD(_composed(func, self._records))

    @property
    def _read_by_itself(self) -> bool:
        """Whether its RDDs are ones that Spark keeps: then these are to be used."""
        return self.is_cached or self.is_checkpointed


class Batches:
    """The ranges of each batch, from its plan until Spark forgets its RDDs.

    Jobs may run long after their batch was planned, and windows look at batches of the past.
    """

    def __init__(self, sc: SparkContext, plan: Plan) -> None:
        self._sc, self._plan = sc, plan
        self._ranges: dict[int, Ranges] = {}  # by batch time, in ms
        self._known: dict[int, int] = {}  # the RDD's id, of those whose records were asked for
        self.is_kept: Callable[[int], bool] = lambda _: True

    def plan(self, time: datetime) -> Ranges:
        """The next batch is the one of this time."""
        self._forget_old()
        ranges = self._plan()
        self._ranges[millis(time)] = ranges
        return ranges

    def at(self, time: datetime, rdd: RDD[structs.OffsetRange]) -> Ranges:
        """The ranges of a batch, of which `rdd` is the RDD; whatever is derived from that knows them too."""
        ranges = self._ranges.get(millis(time))
        if ranges is None:
            raise BatchError(f"the batch of {time} is of another run, or Spark has forgotten it")
        if millis(time) not in self._known:
            self._known[millis(time)] = remember(rdd, ranges)
        return ranges

    def _forget_old(self) -> None:
        while self._ranges and not self.is_kept(oldest := min(self._ranges)):
            del self._ranges[oldest]
            if (number := self._known.pop(oldest, None)) is not None:
                forget(self._sc, number)


class _Records(OfThisRun):
    """From a batch's RDD of ranges to that of its records."""

    def __init__(self, batches: Batches, task: ReadTask[Any]) -> None:
        self._batches, self._task = batches, task

    def __call__(self, time: datetime, rdd: RDD[structs.OffsetRange]) -> KafkaRDD[Any]:
        return kafka_rdd(rdd, self._batches.at(time, rdd), self._task)


def direct_stream(ssc: StreamingContext, plan: Plan, task: ReadTask[T]) -> KafkaDStream[T]:
    """What `task` makes of the ranges that `plan` gives, one call a batch, one partition a range."""
    batches = Batches(ssc.sparkContext, plan)
    ranges = range_stream(ssc, batches.plan)
    jvm: Any = ssc._jvm
    batches.is_kept = lambda ms: (
        ranges._jdstream.dstream().generatedRDDs().contains(jvm.org.apache.spark.streaming.Time(ms))
    )
    return KafkaDStream(ranges, _Records(batches, task))


def _composed(func: Callable[..., Any], records: _Records) -> Callable[[datetime, RDD[Any]], Any]:
    """A plain function of two arguments, which is what Spark asks for."""
    if _arguments(func) == 1:
        return lambda time, rdd: func(records(time, rdd))
    return lambda time, rdd: func(time, records(time, rdd))


def _arguments(func: Callable[..., Any]) -> int:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional for p in inspect.signature(func).parameters.values())
