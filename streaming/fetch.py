"""Reads exactly one OffsetRange.  Runs on executors, in the task's own Python process; writes nothing, commits nothing.

A range ends by *position*: its last offsets may hold no record (compacted, aborted, control), so waiting for record
`until - 1`, or for a number of records, would hang for ever (SPARK-24720, SPARK-25005).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import lt

from confluent_kafka import KafkaError, Message, TopicPartition

from offsets.errors import DataLossError, Loss, StreamError, UnavailableError
from offsets.failpoints import reach
from offsets.structs import OffsetRange
from streaming.consumers import Source, kept_source
from streaming.logends import find_loss, not_authorised

CHUNK = 10_000  # records; also bounds what one chunk may cost in memory beside librdkafka's own queue
POLL_SECONDS = 0.1  # how long one look for records may block
LOOK_SECONDS = 1.0  # without progress for so long, ask whether the records are still in the log

# What is fetched past the end of a short range is thrown away: 250 records elsewhere take 3 ms instead of 17.
# For long ranges librdkafka's own 1 MB is a fifth faster.
SHORT_RANGE = 5_000
_SHORT = {"fetch.message.max.bytes": "262144"}

# Errors that librdkafka reports in passing and goes on retrying by itself; without progress the timeout ends them.
_TRANSIENT = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.INCONSISTENT_TOPIC_ID,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


def read_range(client: Mapping[str, str], range_: OffsetRange, progress_timeout: float) -> Iterator[list[Message]]:
    """The range's committed records in order, in chunks of up to CHUNK; never an empty chunk, possibly none at all.

    Raises DataLossError when offsets of the range are no longer in the log, UnavailableError when the position has
    not moved for `progress_timeout` seconds, StreamError when reading is not allowed or a record is damaged.
    The consumer is kept for the next range of this process only if this one was read to its end: after a failure, or
    when the caller stops early, the next attempt gets a new one.  It cannot tell a recreated topic that is full
    enough from the old one: the driver compares topic ids after its tasks have ended.
    """
    if range_.size() <= 0:
        return
    with kept_source({**_SHORT, **client} if range_.size() < SHORT_RANGE else client) as source:
        reach("fetch.first")
        for chunk in _Reader(source, range_, progress_timeout, time.monotonic).chunks():
            yield chunk
            reach("fetch.mid")
        reach("fetch.end")


class _Reader:
    """Moves one consumer over one range; the position only grows."""

    def __init__(self, source: Source, range_: OffsetRange, timeout: float, clock: Callable[[], float]) -> None:
        self._source, self._range, self._timeout, self._clock = source, range_, timeout, clock
        self._at = TopicPartition(range_.topic, range_.partition)
        self._position = range_.from_offset
        self._progressed()
        source.meet(range_.topic)
        self._assign()

    def chunks(self) -> Iterator[list[Message]]:
        """Ends when the position has reached the end of the range; see `read_range`."""
        while self._position < self._range.until_offset:
            before = self._position
            records = self._accept(self._poll())
            if records:
                yield records
            if self._position > before:
                self._progressed()  # after the yield: the caller's own time is not the broker's
            else:
                self._look_for_loss()

    def _assign(self) -> None:
        self._delivered = self._halted = False
        self._source.consumer.assign([TopicPartition(self._at.topic, self._at.partition, self._position)])

    def _progressed(self) -> None:
        self._since = self._looked = self._clock()
        self._suspected: tuple[str, float] | None = None  # kind of loss, and since when

    def _poll(self) -> list[Message]:
        """Blocks for one event only: asking for more at once would wait out the time whenever there are holes."""
        wanted = min(CHUNK, self._range.until_offset - self._position)
        events = self._source.consumer.consume(1, POLL_SECONDS)
        if events and wanted > 1:
            events += self._source.consumer.consume(wanted - 1, 0)
        return events

    def _accept(self, events: list[Message]) -> list[Message]:
        """The records of the range among `events`; moves the position past all that they vouch for."""
        if events and not self._delivered:  # what an earlier assignment left behind can only come first
            events = [e for e in events if (e.topic(), e.partition()) == (self._at.topic, self._at.partition)]
        self._delivered = self._delivered or bool(events)
        errors = any(map(Message.error, events))
        records = [m for m in events if m.error() is None] if errors else events
        inside = self._in_range(records)
        for event in events if errors else ():
            if (error := event.error()) is not None:
                self._take_error(error, event.offset())
        if self._delivered:  # before the first event it is still the position of the last assignment
            self._position = max(self._position, self._source.consumer.position([self._at])[0].offset)
        return inside

    def _in_range(self, records: list[Message]) -> list[Message]:
        if not records:
            return records
        offsets: list[int] = list(map(Message.offset, records))  # type: ignore[arg-type]
        if offsets[0] < self._position or not _rising(offsets):
            raise StreamError(f"records out of order in {self._range}: {offsets[0]} at position {self._position}")
        self._position = offsets[-1] + 1
        return records[: bisect_left(offsets, self._range.until_offset)]

    def _take_error(self, error: KafkaError, offset: int | None) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._position = max(self._position, offset or 0)
        elif code == KafkaError._AUTO_OFFSET_RESET:
            self._halted = True
            if self._suspected is None:
                self._looked = self._since - LOOK_SECONDS  # look at once
        elif code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise not_authorised(self._range, error)
        elif code not in _TRANSIENT:
            raise StreamError(
                f"cannot read {self._range} at offset {self._position}: {error.str()} ({error.name()})",
                "the record or its batch is damaged or of an unknown kind; nothing was skipped",
            )

    def _look_for_loss(self) -> None:
        now = self._clock()
        over = now - self._since > self._timeout
        if over or now - self._looked >= LOOK_SECONDS:
            self._looked = now
            loss = find_loss(self._source.consumer, self._range, self._position)
            if loss is not None and self._is_certain(loss, now, over):
                raise DataLossError([loss], "nothing of the range was published; see README, data loss")
            if self._halted:
                self._assign()
        if over:
            raise self._unavailable()

    def _is_certain(self, loss: Loss, now: float, over: bool) -> bool:
        """A beginning only grows; all else may be stale for a moment (K9), and an end within the range for longer."""
        if self._suspected is None or self._suspected[0] != loss.kind:
            self._suspected = (loss.kind, now)
        seen_again = now - self._suspected[1] >= LOOK_SECONDS
        catching_up = loss.kind == "BEYOND_END" and loss.resume >= self._range.from_offset
        return loss.kind == "EXPIRED" or over or (seen_again and not catching_up)

    def _unavailable(self) -> UnavailableError:
        error = self._source.error
        return UnavailableError(
            f"no progress for {self._timeout:g} s at {self._at.topic}-{self._at.partition} offset {self._position} "
            f"of [{self._range.from_offset},{self._range.until_offset})" + (f" ({error.str()})" if error else ""),
            "see that the brokers run and the partition has a leader, then launch again; nothing was published",
        )


def _rising(offsets: Sequence[int]) -> bool:
    first = offsets[0]
    return offsets == list(range(first, first + len(offsets))) or all(map(lt, offsets, offsets[1:]))
