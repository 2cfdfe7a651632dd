"""The records of a KafkaRDD, read in the executor's own Python process; and where the running task is.

Writes nothing, and keeps nothing of a range but its position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from offsets import structs
from offsets.errors import BatchError
from streaming.direct.values import OffsetRange
from streaming.fetching.ranges import read_range
from streaming.fetching.source import Client
from streaming.records import Message, from_message
from streaming.spark.taskstart import forget_archives
from streaming.tasks.errors import crossing
from streaming.tasks.task import PROGRESS_SECONDS

T = TypeVar("T")


class _Running:
    """What this worker process reads, and for which attempt of a task."""

    task: int | None = None
    range: structs.OffsetRange
    position: int


@dataclass(frozen=True)
class ReadTask(Generic[T]):
    """For `RDD.mapPartitions` on an RDD of ranges.  `make`: an element of a message; pickled with the task."""

    client: Client
    make: Callable[[Message], T] = from_message  # type: ignore[assignment]

    def __call__(self, ranges: Iterable[structs.OffsetRange]) -> Iterator[T]:
        # Not a generator: the user's function may ask for the range before it asks for the first record.
        partition = list(ranges)
        _Running.task = _task()
        for range_ in partition[:1]:
            _Running.range, _Running.position = range_, range_.from_offset
        return self._elements(partition)

    def _elements(self, ranges: Iterable[structs.OffsetRange]) -> Iterator[T]:
        with crossing():
            for range_ in ranges:
                yield from self.read(range_)
        forget_archives()

    def read(self, range_: structs.OffsetRange) -> Iterator[T]:
        """The range's elements in order.  Raises StreamErrors, as `read_range`."""
        for chunk in read_range(self.client, range_, PROGRESS_SECONDS):
            for message in chunk:
                element = self.make(message)
                _Running.range, _Running.position = range_, message.offset() + 1
                yield element
        _Running.range, _Running.position = range_, range_.until_offset


def current_range() -> OffsetRange:
    """Executor: the range that the running task reads, also before its first record.  BatchError if it reads none."""
    return OffsetRange(*_running().range)


def current_position() -> int:
    """Executor: the offset behind the record that the running task was given last; in the end `untilOffset`."""
    return _running().position


def _running() -> type[_Running]:
    if _Running.task is None or _Running.task != _task():
        raise BatchError(
            "no range of Kafka is being read here",
            "ask in a function that runs on executors, in the stage of the stream's own RDD: not after a shuffle",
        )
    return _Running


def _task() -> Any:
    from pyspark import TaskContext

    context = TaskContext.get()
    return None if context is None else context.taskAttemptId()
