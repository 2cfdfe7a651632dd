"""Whether a log still has what was read of it, by the leader epoch of an offset (KIP-320).  Runs on the driver.

After an unclean election the log may end before a committed offset and grow past it again, with other records: offsets
alone do not tell.  The broker does: it knows where the log of each leader epoch ends, and librdkafka asks for that end
when an offset is assigned together with its epoch.  Reads only; decides nothing.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Collection, Mapping
from contextlib import closing

from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as Place

from offsets.errors import UnavailableError
from offsets.snapshot import Led
from offsets.structs import TopicPartition
from streaming.source.client import open_consumer

# What is fetched on the way is thrown away.
_SHORT = {"fetch.message.max.bytes": "1024", "queued.min.messages": "1", "queued.max.messages.kbytes": "1024"}


def truncated(
    client: Mapping[str, str], led: Mapping[TopicPartition, Led], seconds: float
) -> dict[TopicPartition, int]:
    """Where the log of the epoch ends, for every partition in which that is before the offset; the others are whole.

    Raises UnavailableError when a partition has not said within `seconds`.
    """
    cut = _cut(client, led, seconds) if led else ()
    return {tp: _end(client, tp, led[tp], seconds) for tp in cut}


def _end(client: Mapping[str, str], tp: TopicPartition, led: Led, seconds: float) -> int:
    """The last offset up to which the log is the one of that epoch; at least its beginning."""
    places = range(led.beginning, led.offset + 1)
    first_cut = bisect_left(places, True, key=lambda o: bool(_cut(client, {tp: led._replace(offset=o)}, seconds)))
    return max(led.beginning, led.beginning + first_cut - 1)


def _cut(client: Mapping[str, str], led: Mapping[TopicPartition, Led], seconds: float) -> Collection[TopicPartition]:
    """The partitions whose log was cut below the offset since it was of that epoch.

    A consumer that may not reset its offset is told so; in all others it gets on: with a record, or the end of the log.
    """
    until, waiting, cut, trouble = time.monotonic() + seconds, set(led), set[TopicPartition](), list[str]()
    with closing(open_consumer({**client, **_SHORT}, lambda error: trouble.append(error.str()))) as consumer:
        consumer.assign([Place(*tp, at.offset, leader_epoch=at.epoch) for tp, at in led.items()])
        while waiting:
            if time.monotonic() > until:
                raise _silent(sorted(waiting), seconds, trouble)
            for event in consumer.consume(100, 0.1):
                tp, error = TopicPartition(event.topic() or "", event.partition() or 0), event.error()
                if error is None or error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard(tp)
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    waiting.discard(tp)
                    cut.add(tp)
    return sorted(cut)


def _silent(waiting: list[TopicPartition], seconds: float, trouble: list[str]) -> UnavailableError:
    where = ", ".join(f"{tp.topic}-{tp.partition}" for tp in waiting[:3])
    return UnavailableError(
        f"Kafka did not say within {seconds:g} s whether the log of {where} was truncated"
        + (f" ({trouble[-1]})" if trouble else ""),
        "see that the partition has a leader, then launch again; nothing was changed",
    )
