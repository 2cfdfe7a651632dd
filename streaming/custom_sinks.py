"""Sinks of your own: what `sink.class = module:name` may name, and what it is given.  See streaming/GUIDE.rst.

A class with `write_partition(offset_range, records)` or `write_batch(batch, rdd)`, or a function decorated by
`each_partition` or `each_batch`.  Importing this starts nothing and needs no Spark.
"""

from offsets.structs import OffsetRange
from streaming.records import Record
from streaming.sinks.contracts import BatchSink, DirectSink, SinkBatch, TransactionalSink, each_batch, each_partition
from streaming.sinks.current import BatchPlace, current_batch

__all__ = [
    "BatchPlace",
    "BatchSink",
    "DirectSink",
    "OffsetRange",
    "Record",
    "SinkBatch",
    "TransactionalSink",
    "current_batch",
    "each_batch",
    "each_partition",
]
