"""Where the numbers of a topic end: read from its own last committed records.  Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from producers.connecting import CONNECT_SECONDS, LOGGER, ProduceError, explained
from producers.sequence import number_of

FIRST_LOOK = 100  # offsets from the end; markers and aborted records may fill them, so the next looks go further back
_CONSUMER: Mapping[str, str] = {
    "group.id": "produce-sequence",
    "enable.auto.commit": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": "true",
}

# A topic that has just been made, or a broker that has just come back.
_LEADERLESS = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
}


def next_numbers(client: Mapping[str, str], topic: str, partitions: Sequence[int]) -> dict[int, int]:
    """By partition, the number after its last committed record's; 0 where there is none.

    Raises ProduceError while a transaction is open: what lies behind it cannot be known.
    """
    places = [TopicPartition(topic, p) for p in partitions]
    try:
        spans = _spans(AdminClient(dict(client), logger=LOGGER), places)
        with closing(Consumer({**client, **_CONSUMER}, logger=LOGGER)) as consumer:
            return {place.partition: _next_number(consumer, place, *spans[place.partition]) for place in places}
    except KafkaException as e:
        raise explained(e, client, topic) from e


def _spans(admin: AdminClient, places: Sequence[TopicPartition]) -> dict[int, tuple[int, int]]:
    """By partition: the beginning and the end of the log."""
    first = _ask(admin, places, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)
    stable = _ask(admin, places, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)
    end = _ask(admin, places, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
    for p in end:
        if stable[p] < end[p]:
            where = f"{places[0].topic}-{p} from offset {stable[p]}"
            raise ProduceError(f"a transaction is open in {where}; wait until it has timed out, or give --start N", 1)
    return {p: (first[p], end[p]) for p in end}


def _ask(
    admin: AdminClient, places: Sequence[TopicPartition], spec: OffsetSpec, level: IsolationLevel
) -> dict[int, int]:
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        answers = admin.list_offsets(
            dict.fromkeys(places, spec), isolation_level=level, request_timeout=CONNECT_SECONDS
        )
        try:
            return {place.partition: answer.result().offset for place, answer in answers.items()}
        except KafkaException as e:
            if e.args[0].code() not in _LEADERLESS or time.monotonic() > until:
                raise
        time.sleep(0.1)


def _next_number(consumer: Consumer, place: TopicPartition, first: int, end: int) -> int:
    back = FIRST_LOOK
    while True:
        begin = max(first, end - back)
        last = _last_record(consumer, place, begin) if begin < end else None
        if last is not None:
            return _number(last) + 1
        if begin == first:
            return 0
        back *= 10


def _last_record(consumer: Consumer, place: TopicPartition, begin: int) -> Message | None:
    """The last committed record from `begin` on, if there is one."""
    consumer.assign([TopicPartition(place.topic, place.partition, begin)])
    last = None
    while True:
        message = consumer.poll(CONNECT_SECONDS)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        error = message.error()
        if error is None:
            last = message
        elif error.code() == KafkaError._PARTITION_EOF:
            return last
        else:
            raise KafkaException(error)


def _number(message: Message) -> int:
    pairs: Any = message.headers() or ()
    try:
        return number_of(message.value(), dict(pairs))
    except ValueError as e:
        where = f"{message.topic()}-{message.partition()} at offset {message.offset()}"
        raise ProduceError(f"{where} is {e}; give --start N, or another topic", 1) from None
