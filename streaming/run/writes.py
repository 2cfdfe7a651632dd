"""The batch of a direct sink: one Spark task a range, which gives its records to the sink.  Driver; commits nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from offsets.structs import AT_MOST_ONCE, OffsetRange
from streaming.config.job import JobConfig
from streaming.fetching.source import Client
from streaming.run.runner import StageBatch
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.tasks.result import TaskResult
from streaming.tasks.sealed import Sealed
from streaming.tasks.write import Claims, WriteTask

if TYPE_CHECKING:
    from pyspark import RDD


def write_with(config: JobConfig, name: str, notes: StagedFileSink) -> StageBatch:
    """`name`: the sink's module:Class; `notes`: where the job keeps what is its own, and so the claims.

    Under at-most-once the batch's folder is made here, once: a straggler of a batch that is over finds none.
    """
    client = Client(config.client, {"group.id": config.name, **config.kafka})

    def write(rdd: RDD[OffsetRange], place: StagingPlace) -> Sequence[TaskResult]:
        claims = None
        if config.guarantee == AT_MOST_ONCE:
            claims = Claims(notes.filesystem, place)
            notes.filesystem.mkdirs(place.directory)
        return rdd.mapPartitions(Sealed(WriteTask(client, name, claims))).collect()

    return write
