"""When the next record of a partition was written: asks the brokers for one record of each, for a moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import closing

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from offsets.structs import TopicPartition
from streaming.overview.values import Row
from streaming.source.client import open_consumer

SECONDS = 2.0
MOST = 1_000  # partitions
# One record of each is all that is wanted.
LITTLE = {"queued.min.messages": "1", "fetch.message.max.bytes": "16384", "fetch.wait.max.ms": "100"}


def next_times(rows: Iterable[Row], kafka: Mapping[str, str], seconds: float = SECONDS) -> dict[TopicPartition, int]:
    """In ms since the epoch, by the records' own timestamps, of as many partitions as answer within `seconds`.

    Asks for those first that lag most.  Never raises for what brokers do.
    """
    until, wanted = time.monotonic() + seconds, most_lagging(rows)
    found: dict[TopicPartition, int] = {}
    if not wanted:
        return found
    with closing(open_consumer({**kafka, **LITTLE}, lambda _: None)) as consumer:
        try:
            consumer.assign([Place(*row.at, row.current or 0) for row in wanted])
            open_ = {row.at for row in wanted}
            while open_ and (left := until - time.monotonic()) > 0:
                _take(consumer, left, open_, found)
        except KafkaException:
            pass
    return found


def most_lagging(rows: Iterable[Row], most: int = MOST) -> list[Row]:
    """The partitions with something to read, at most so many; those with the most first."""
    return sorted((row for row in rows if _readable(row)), key=_readable, reverse=True)[:most]


def _readable(row: Row) -> int:
    """How many offsets: none of a partition whose next record has expired, or waits for the end of a transaction."""
    if row.current is None or row.start is None or row.stable is None or row.current < row.start:
        return 0
    return max(row.stable - row.current, 0)


def _take(consumer: Consumer, left: float, open_: set[TopicPartition], found: dict[TopicPartition, int]) -> None:
    """The first answer of each partition, be it that there is no record, closes it."""
    answers = [*consumer.consume(1, left), *consumer.consume(MOST, 0)]
    answered = {_place(message): message for message in reversed(answers)}
    for at in answered.keys() & open_:
        open_.discard(at)
        if (moment := _time(answered[at])) is not None:
            found[at] = moment
    if answered:
        consumer.pause([Place(*at) for at in answered])


def _place(message: Message) -> TopicPartition:
    return TopicPartition(message.topic() or "", message.partition() or 0)


def _time(message: Message) -> int | None:
    """None also for an event that is no record."""
    kind, moment = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else moment
