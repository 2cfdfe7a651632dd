"""Reads exactly one OffsetRange.  Runs on executors, in the task's own Python process; writes nothing, commits nothing.

A range ends by *position*: its last offsets may hold no record (compacted, aborted, control), so waiting for record
`until - 1`, or for a number of records, would hang for ever (SPARK-24720, SPARK-25005).
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import lt

from offsets.errors import DataLossError, StreamError, UnavailableError
from offsets.failpoints import reach
from offsets.structs import Loss, OffsetRange, TopicPartition
from streaming.fetching.kept import kept_source
from streaming.fetching.losses import find_loss
from streaming.fetching.source import Client, Forbidden, Look, Source, Unreadable
from streaming.records import Message

CHUNK = 10_000  # records; also bounds what one chunk may cost in memory beside the client's own queue
POLL_SECONDS = 0.1  # how long one look for records may block
LOOK_SECONDS = 1.0  # without progress for so long, ask whether the records are still in the log

# What is fetched past the end of a short range is thrown away: 250 records elsewhere take 3 ms instead of 17.
# For long ranges librdkafka's own 1 MB is a fifth faster.
SHORT_RANGE = 5_000
_SHORT = {"fetch.message.max.bytes": "262144"}


def read_range(client: Client, range_: OffsetRange, progress_timeout: float) -> Iterator[Sequence[Message]]:
    """The range's committed records in order, in chunks of up to CHUNK; never an empty chunk, possibly none at all.

    Raises DataLossError when offsets of the range are no longer in the log, UnavailableError when the position has
    not moved for `progress_timeout` seconds, StreamError when reading is not allowed or a record is damaged.
    The consumer is kept for the next range of this process only if this one was read to its end: after a failure, or
    when the caller stops early, the next attempt gets a new one.  It cannot tell a recreated topic that is full
    enough from the old one: the driver compares topic ids after its tasks have ended.
    """
    if range_.size() <= 0:
        return
    if range_.size() < SHORT_RANGE:
        client = Client(client.name, {**_SHORT, **client.properties})
    with kept_source(client, progress_timeout) as source:
        reach("fetch.first")
        for chunk in _Reader(source, range_, progress_timeout, time.monotonic).chunks():
            yield chunk
            reach("fetch.mid")
        reach("fetch.end")


class _Reader:
    """Moves one source over one range; the position only grows."""

    def __init__(self, source: Source, range_: OffsetRange, timeout: float, clock: Callable[[], float]) -> None:
        self._source, self._range, self._timeout, self._clock = source, range_, timeout, clock
        self._at = TopicPartition(range_.topic, range_.partition)
        self._position = range_.from_offset
        self._progressed()
        self._start()

    def chunks(self) -> Iterator[Sequence[Message]]:
        """Ends when the position has reached the end of the range; see `read_range`."""
        try:
            while self._position < self._range.until_offset:
                before = self._position
                if records := self._take():
                    yield records
                if self._position > before:
                    self._progressed()  # after the yield: the caller's own time is not the broker's
                else:
                    self._look_for_loss()
        except Forbidden as e:
            raise self._not_authorised(e) from e
        except Unreadable as e:
            raise self._unreadable(e) from e

    def _start(self) -> None:
        self._halted = False
        self._source.start(self._at, self._position)

    def _progressed(self) -> None:
        self._since = self._looked = self._clock()
        self._suspected: tuple[str, float] | None = None  # kind of loss, and since when

    def _take(self) -> Sequence[Message]:
        """The records of the range in one look; moves the position past all that the client vouches for."""
        found = self._source.look(min(CHUNK, self._range.until_offset - self._position), POLL_SECONDS)
        records = self._in_range(found) if found.records else ()
        self._position = max(self._position, found.position)
        if found.halted:
            self._halted = True
            if self._suspected is None:
                self._looked = self._since - LOOK_SECONDS  # look at once
        return records

    def _in_range(self, found: Look) -> Sequence[Message]:
        offsets = found.offsets
        if offsets[0] < self._position or not _rising(offsets):
            raise StreamError(f"records out of order in {self._range}: {offsets[0]} at position {self._position}")
        self._position = offsets[-1] + 1
        return found.records[: bisect_left(offsets, self._range.until_offset)]

    def _look_for_loss(self) -> None:
        now = self._clock()
        over = now - self._since > self._timeout
        if over or now - self._looked >= LOOK_SECONDS:
            self._looked = now
            loss = find_loss(self._source, self._range, self._position)
            if loss is not None and self._is_certain(loss, now, over):
                raise DataLossError([loss], "nothing of the range was published; see README, data loss")
            if self._halted:
                self._start()
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
        trouble = self._source.trouble
        return UnavailableError(
            f"no progress for {self._timeout:g} s at {self._at.topic}-{self._at.partition} offset {self._position} "
            f"of [{self._range.from_offset},{self._range.until_offset})" + (f" ({trouble})" if trouble else ""),
            "see that the brokers run and the partition has a leader, then launch again; nothing was published",
        )

    def _not_authorised(self, error: Forbidden) -> StreamError:
        return StreamError(
            f"not authorised to READ topic {self._at.topic}: {self._range} ({error})",
            "grant READ and DESCRIBE on the topic to the job's principal",
        )

    def _unreadable(self, error: Unreadable) -> StreamError:
        return StreamError(
            f"cannot read {self._range} at offset {max(self._position, error.position)}: {error}",
            "the record or its batch is damaged or of an unknown kind; nothing was skipped",
        )


def _rising(offsets: Sequence[int]) -> bool:
    first = offsets[0]
    return offsets == list(range(first, first + len(offsets))) or all(map(lt, offsets, offsets[1:]))
