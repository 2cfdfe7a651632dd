"""The batch of a direct sink: Spark tasks give its records to the sink, range by range or as a whole.  Driver.

Commits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from offsets.errors import StreamError
from offsets.structs import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, OffsetRange
from streaming.config.job import JobConfig
from streaming.fetching.source import Client
from streaming.run.batch import Batch, sink_batch
from streaming.run.batchwise import BatchWriter
from streaming.run.runner import StageBatch
from streaming.sinks.alarm import MARGIN_SECONDS
from streaming.sinks.contracts import BATCH
from streaming.sinks.current import BatchPlace
from streaming.sinks.direct import TIMEOUT, opened
from streaming.sinks.file import StagedFileSink
from streaming.tasks.errors import from_spark
from streaming.tasks.result import TaskResult
from streaming.tasks.sealed import Sealed
from streaming.tasks.write import Claims, WriteTask

if TYPE_CHECKING:
    from pyspark import RDD

NEXT: Mapping[str, str] = {
    EXACTLY_ONCE: "the next launch writes exactly these ranges again, before anything else",
    AT_LEAST_ONCE: "the next launch reads from the same offsets: what the sink has of it by now will be there twice",
    AT_MOST_ONCE: "",  # LostBatchError says it
}
"""By guarantee: what the launch after a failed batch does, while nothing is committed."""
ROLLED_BACK = "nothing of the batch is visible, and the next launch reads from the same offsets again"
CRASHED = "Python worker exited unexpectedly"

Write = Callable[["RDD[OffsetRange]", Batch, "Claims | None"], Sequence[TaskResult]]


def write_with(config: JobConfig, name: str, notes: StagedFileSink, app: str) -> StageBatch:
    """`name`: sink.class; `notes`: where the job keeps what is its own, and so the claims; `app`: the register's.

    Under at-most-once the batch's folder is made here, once: a straggler of a batch that is over finds none.
    """
    write_batch = _written(config, name, app)

    def write(rdd: RDD[OffsetRange], batch: Batch) -> Sequence[TaskResult]:
        claims = None
        if config.guarantee == AT_MOST_ONCE:
            claims = Claims(notes.filesystem, batch.place)
            notes.filesystem.mkdirs(batch.place.directory)
        try:
            return write_batch(rdd, batch, claims)
        except Exception as e:
            raise _with_next(from_spark(e), config) from e

    return write


def _written(config: JobConfig, name: str, app: str) -> Write:
    client = Client(config.client, {"group.id": config.name, **config.kafka})
    seconds = config.sink_seconds
    if (sink := opened(name)).declared.per == BATCH:
        writer = BatchWriter(sink, client, seconds)
        return lambda rdd, batch, claims: writer.write(sink_batch(app, batch), rdd, claims)

    def write(rdd: RDD[OffsetRange], batch: Batch, claims: Claims | None) -> Sequence[TaskResult]:
        task = WriteTask(client, name, claims, seconds, BatchPlace(app, batch.place))
        return rdd.mapPartitions(Sealed(task)).collect()

    return write


def _with_next(error: StreamError, config: JobConfig) -> StreamError:
    """`error`, whose remedy says what the next launch does, and what may have ended a worker."""
    whole = config.sink_class and opened(config.sink_class).declared.transactional
    remedies = [error.remedy, ROLLED_BACK if whole else NEXT[config.guarantee]]
    if config.sink_timeout_ms and CRASHED in str(error):
        remedies[0] += (
            f"; {config.sink_class} may have hung where nothing can interrupt it: its worker is ended "
            f"{MARGIN_SECONDS:g} s after {TIMEOUT} = {config.sink_timeout_ms}, with its stack in the executor's stderr"
        )
    error.remedy = "; ".join(filter(None, remedies))
    return error
