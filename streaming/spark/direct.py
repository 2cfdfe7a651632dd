"""The direct DStream: one RDD of offset ranges a batch, one partition a range.  The only user of Spark's internals.

The driver plans; whoever maps over the partitions fetches, in an executor's own Python process.  Nothing is planned
twice for one batch time, and nothing for a time that has passed: Spark calls again when a stream has two outputs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from offsets.errors import BatchError
from offsets.structs import OffsetRange

if TYPE_CHECKING:
    from pyspark import RDD, SparkContext
    from pyspark.streaming import DStream, StreamingContext

PlanFunction = Callable[[datetime], Sequence[OffsetRange]]


class OfThisRun:
    """What Spark calls for each batch, and writes into a checkpoint if state operators need one: nothing of it.

    Another run that is begun from the checkpoint is refused: how far the first one had come is not in it, and its
    clients, with their secrets, must not be.
    """

    def __reduce__(self) -> tuple[type[_OfAnotherRun], tuple[()]]:
        return _OfAnotherRun, ()


class _OfAnotherRun:
    def __call__(self, *_: object) -> NoReturn:
        raise BatchError(
            "a direct stream cannot be recovered from a checkpoint of Spark Streaming, which has no offsets of it; "
            "make a new StreamingContext, and begin the stream where your results end (fromOffsets)"
        )


class PlannedRanges:
    """Calls the plan function once per batch time and remembers only the newest answer.  Driver only, thread-safe."""

    def __init__(self, plan: PlanFunction, report: Callable[[datetime, Sequence[OffsetRange]], None]) -> None:
        self._plan, self._report = plan, report
        self._guard = threading.Lock()
        self._time_ms = -1
        self._ranges: Sequence[OffsetRange] = ()

    def at(self, time: datetime) -> Sequence[OffsetRange]:
        """The ranges of this batch time; empty for a time before the newest one."""
        time_ms = millis(time)
        with self._guard:
            if time_ms > self._time_ms:
                self._time_ms, self._ranges = time_ms, self._plan(time)
                if self._ranges:
                    self._report(time, self._ranges)
            return self._ranges if time_ms == self._time_ms else ()


def millis(time: datetime) -> int:
    """Spark's batch time, Unix epoch.  PySpark hands out naive local times, which go back when summer time ends."""
    return round(time.timestamp() * 1000)


class _RangesAt(OfThisRun):
    """The RDD of a batch time's ranges, partition i holding exactly the i-th; None if there are none."""

    def __init__(self, sc: SparkContext, planned: PlannedRanges) -> None:
        self._sc, self._planned = sc, planned

    def __call__(self, time: datetime) -> RDD[OffsetRange] | None:
        ranges = self._planned.at(time)
        return self._sc.parallelize(list(ranges), len(ranges)) if ranges else None


def range_stream(ssc: StreamingContext, plan: PlanFunction) -> DStream[OffsetRange]:
    """A genuine DStream whose batches are RDDs of OffsetRange, partition i holding exactly the i-th range.

    `plan` runs on the driver, once per batch time; no ranges means no batch and no Spark job.  If it raises, there is
    no batch either, and Spark hands the error to whoever waits for the StreamingContext.
    """
    from pyspark.streaming.dstream import TransformedDStream
    from pyspark.streaming.util import TransformFunction

    sc = ssc.sparkContext
    ticks = ssc.queueStream([], default=sc.emptyRDD())
    planned = PlannedRanges(plan, InputPage(ssc, ticks).show)

    # Handing on the parent's RDD, which nobody looks at, is most of what a tick costs.
    class OfTime(TransformFunction):
        def call(self, milliseconds: int, jrdds: object) -> Any:
            return super().call(milliseconds, ())

    # A subclass is never folded into what is built on it, so every output shares one stream and one plan.
    class DirectKafkaDStream(TransformedDStream):
        @cached_property
        def _jdstream(self) -> Any:
            jvm: Any = sc._jvm
            made = jvm.PythonTransformedDStream(ticks._jdstream.dstream(), OfTime(sc, self.func))
            return made.asJavaDStream()

    return DirectKafkaDStream(ticks, _RangesAt(sc, planned))  # type: ignore[arg-type]  # None: no batch


class InputPage:
    """Shows each batch's size (an upper bound) and its ranges on Spark's Streaming page and in its REST API.

    Looks Spark's classes up once: every name in such a path is a round trip to the JVM.
    """

    def __init__(self, ssc: StreamingContext, ticks: DStream[Any]) -> None:
        jvm: Any = ssc._jvm
        spark_streaming = jvm.org.apache.spark.streaming
        self._info, self._time = spark_streaming.scheduler.StreamInputInfo, spark_streaming.Time
        self._to_scala = jvm.PythonUtils.toScalaMap
        self._scheduler = ssc._jssc.ssc().scheduler()
        self._stream: int = ticks._jdstream.inputDStream().id()

    @cached_property
    def _tracker(self) -> Any:
        return self._scheduler.inputInfoTracker()  # there is none before the start

    def show(self, time: datetime, ranges: Sequence[OffsetRange]) -> None:
        read = [r for r in ranges if r.size()]
        description = "\n".join(
            f"topic: {r.topic}\tpartition: {r.partition}\toffsets: {r.from_offset} to {r.until_offset}" for r in read
        )
        metadata = self._to_scala({"Description": description, "offsets": len(read)})
        info = self._info(self._stream, sum(r.size() for r in ranges), metadata)
        self._tracker.reportInfo(self._time(millis(time)), info)
