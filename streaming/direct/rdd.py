"""RDDs of Kafka's records, and the offset ranges behind an RDD: while its partitions are still those of Kafka.

Importing this gives every RDD the method `offsetRanges()`, as pyspark.sql gives it `toDF`: what an RDD was derived
from is known only when it is asked, and one that no range stands behind says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pyspark import RDD, SparkContext
from pyspark.rdd import PipelinedRDD

from offsets import structs
from offsets.errors import BatchError
from streaming.direct.values import OffsetRange

T = TypeVar("T")
Ranges = Sequence[structs.OffsetRange]

# By the id of the RDD of ranges, as long as its DStream keeps it: from one DStream to the next nothing but the JVM's
# RDD is handed on.
_planned: WeakKeyDictionary[SparkContext, dict[int, Ranges]] = WeakKeyDictionary()

_OPERATIONS = {
    "ShuffledRDD": "a shuffle (reduceByKey, groupByKey, join, partitionBy, repartition, sortBy, ...)",
    "CoGroupedRDD": "a shuffle (cogroup, join, ...)",
    "UnionRDD": "union() or window()",
    "PartitionerAwareUnionRDD": "union() or window()",
    "CoalescedRDD": "coalesce() or repartition()",
    "CartesianRDD": "cartesian()",
    "ZippedPartitionsRDD2": "zip()",
    "ReliableCheckpointRDD": "checkpoint()",
    "LocalCheckpointRDD": "localCheckpoint()",
}
_NARROW = "org.apache.spark.OneToOneDependency"


class KafkaRDD(PipelinedRDD[structs.OffsetRange, T]):
    """Records of Kafka: partition i holds the committed records of the i-th range, in order, read when it is computed.

    Each action reads anew: cache() what several of them need.
    """

    def __init__(
        self, ranges: RDD[structs.OffsetRange], task: Callable[[Iterable[structs.OffsetRange]], Iterable[T]]
    ) -> None:
        """`ranges`: one a partition.  `task`: makes elements of these, on executors; a ReadTask, or like one."""
        super().__init__(ranges, lambda _, partition: task(partition))

    def offsetRanges(self) -> list[OffsetRange]:
        """Driver: the range of each partition, in order."""
        return offset_ranges(self)


def kafka_rdd(
    ranges: RDD[structs.OffsetRange],
    planned: Ranges,
    task: Callable[[Iterable[structs.OffsetRange]], Iterable[T]],
) -> KafkaRDD[T]:
    """What `task` makes of `planned`, of which `ranges` holds one a partition."""
    made = KafkaRDD(ranges, task)
    ranges._kafka_ranges = tuple(planned)  # type: ignore[attr-defined]
    return made


def offset_ranges(rdd: RDD[Any]) -> list[OffsetRange]:
    """Driver: the range behind each partition of `rdd`, in order.

    Raises BatchError, naming the operation, if its partitions are no longer those of Kafka.
    """
    while isinstance(rdd, PipelinedRDD):
        rdd = rdd.prev
    found: Ranges | None = getattr(rdd, "_kafka_ranges", None)
    if found is None:
        found = _walk(rdd._jrdd.rdd(), _planned.get(rdd.ctx, {}))
    return [OffsetRange(*range_) for range_ in found]


def remember(ranges: RDD[structs.OffsetRange], planned: Ranges) -> int:
    """Lets every RDD that is derived from `ranges`, here or in the JVM, know them until `forget`; the RDD's id."""
    number: int = ranges._jrdd.id()
    _planned.setdefault(ranges.ctx, {})[number] = planned
    return number


def forget(sc: SparkContext, number: int) -> None:
    """What `remember` returned."""
    _planned.get(sc, {}).pop(number, None)


def _walk(rdd: Any, known: dict[int, Ranges]) -> Ranges:
    """Follows the JVM's lineage down to an RDD of ranges, as long as partitions are handed on one to one."""
    while (number := rdd.id()) not in known:
        parents = rdd.dependencies()
        if parents.size() != 1 or parents.head().getClass().getName() != _NARROW:
            raise _unmatched(rdd.getClass().getSimpleName())
        rdd = parents.head().rdd()
    return known[number]


def _unmatched(kind: str) -> BatchError:
    operation = _OPERATIONS.get(kind, f"what made a {kind}")
    return BatchError(
        f"no offset ranges: partitions of this RDD are not those of Kafka after {operation}; take them before it, from "
        "the RDD that foreachRDD or transform of the stream itself is given"
    )


RDD.offsetRanges = offset_ranges  # type: ignore[attr-defined]
