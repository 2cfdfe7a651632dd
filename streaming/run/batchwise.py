"""The batch of a sink that is given it as a whole: `write_batch` runs here, on the driver, with an RDD of its records.

What it does with that RDD is its own affair, but every range must have been read to its end by some task: what nobody
has read must not be committed as written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from offsets.errors import BatchError, StreamError
from offsets.structs import OffsetRange
from streaming.fetching.source import Client
from streaming.records import Record
from streaming.sinks.contracts import SinkBatch
from streaming.sinks.direct import CORRECT, OPTION, Sink, hung, refuse_returned
from streaming.sinks.overdue import in_time
from streaming.tasks.errors import crossed, summary, text_of
from streaming.tasks.read import CountedRead, Counts
from streaming.tasks.result import TaskResult
from streaming.tasks.write import Claims
from streaming.transform.user_code import last_line_of, raised, raised_at

if TYPE_CHECKING:
    from pyspark import RDD, Accumulator

REMOTE = "Traceback (most recent call last)"  # in the text of what Spark raises for a task
UNREAD = "let an action read every partition to its end, also what it does not want of it; then launch again"


class BatchWriter:
    """Calls the sink, batch after batch.  `seconds` that it may take for one; None: any.  For one SparkContext."""

    def __init__(self, sink: Sink, client: Client, seconds: float | None) -> None:
        self._sink, self._client, self._seconds = sink, client, seconds
        self._counts: Accumulator[dict[OffsetRange, int]] | None = None

    def write(self, batch: SinkBatch, rdd: RDD[OffsetRange], claims: Claims | None) -> Sequence[TaskResult]:
        """Raises BatchError for what the sink does wrong, else what its tasks have met with Kafka."""
        counts = self._counted(rdd)
        records = records_of(rdd, batch.ranges, CountedRead(self._client, claims=claims, counts=counts))
        refuse_returned(self._sink, self._called(batch, records))
        self._refuse_unread([range_ for range_ in batch.ranges if range_ not in counts.value])
        return [TaskResult(r, (), counts.value[r], 0, 0, written=counts.value[r]) for r in batch.ranges]

    def _counted(self, rdd: RDD[OffsetRange]) -> Accumulator[dict[OffsetRange, int]]:
        """One for all batches: Spark never forgets one."""
        if self._counts is None:
            self._counts = rdd.context.accumulator({}, Counts())  # type: ignore[arg-type]  # one by its methods
        self._counts.value = {}
        return self._counts

    def _called(self, batch: SinkBatch, records: RDD[Record]) -> Any:
        """What the sink returns.  In a thread of its own only if there is a time after which nobody waits for it."""
        seconds = self._seconds

        def call() -> Any:
            if seconds is not None:
                records.context.setJobGroup(batch.id, f"{self._sink.name}, batch {batch.seq}")
            return self._told(batch, records)

        def late(place: str) -> BatchError:
            records.context.cancelJobGroup(batch.id)
            return hung(self._sink.name, f"batch {batch.seq}", seconds, place)

        return in_time(seconds, call, late, thread_of)

    def _told(self, batch: SinkBatch, records: RDD[Record]) -> Any:
        try:
            return self._sink.call(batch, records)
        except BaseException as e:  # of the sink, also asyncio's CancelledError: signals go to another thread
            raise of_tasks(e) or BatchError(f"{OPTION}: {self._said(e)}", CORRECT) from e

    def _said(self, error: BaseException) -> str:
        """What the sink raised and where; or what a function of it did, which it has sent to the executors."""
        name, text = self._sink.name, text_of(error)
        if REMOTE not in text:
            return raised(name, error)
        place = last_line_of(self._sink.call, text) or raised_at(error)
        return f"{name}: {summary(text)} at {place}, on an executor"

    def _refuse_unread(self, ranges: Sequence[OffsetRange]) -> None:
        if ranges:
            said = f"{OPTION}: {self._sink.name} returned before all records were read of {', '.join(map(str, ranges))}"
            raise BatchError(said, UNREAD)


def of_tasks(error: BaseException | None) -> StreamError | None:
    """What tasks of ours have met, whatever the sink has made of it."""
    seen = set[int]()  # a chain may be a ring: `raise e from e`
    while error is not None and id(error) not in seen:
        if found := crossed(error):
            return found
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def records_of(rdd: RDD[OffsetRange], ranges: Sequence[OffsetRange], task: CountedRead) -> RDD[Record]:
    """The records of `ranges`, of which `rdd` holds one a partition."""
    from streaming.direct.rdd import kafka_rdd

    return kafka_rdd(rdd, ranges, task)


def thread_of(call: Callable[[], None]) -> threading.Thread:
    """Has the job's properties of this thread, as Spark's pages need them; keeps no process alive."""
    from pyspark import InheritableThread

    return InheritableThread(call, daemon=True)
