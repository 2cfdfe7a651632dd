"""Why a range does not get on: are its offsets still in the log?  Runs on executors, beside the fetch; reads only.

Answers from the partition's leader and from metadata, never from silence: when the brokers do not answer, nothing is
known to be lost.
"""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from offsets.errors import Loss, StreamError
from offsets.structs import OffsetRange

ASK_SECONDS = 2.0
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID}


def find_loss(consumer: Consumer, range_: OffsetRange, position: int) -> Loss | None:
    """What of [position, until) is lost for good, as the brokers answer now; None also when they do not answer.

    EXPIRED can only be true.  The other kinds may be a broker's stale view just after a restart or a change of
    leader: ask twice.
    """
    try:
        return _unlisted(consumer, range_, position) or _outside(consumer, range_, position)
    except KafkaException:
        return None


def not_authorised(range_: OffsetRange, error: KafkaError) -> StreamError:
    return StreamError(
        f"not authorised to READ topic {range_.topic}: {range_} ({error.name()})",
        "grant READ and DESCRIBE on the topic to the job's principal",
    )


def _unlisted(consumer: Consumer, range_: OffsetRange, position: int) -> Loss | None:
    topic = consumer.list_topics(range_.topic, timeout=ASK_SECONDS).topics[range_.topic]
    if topic.error is not None:
        if topic.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise not_authorised(range_, topic.error)
        missing = topic.error.code() in _UNKNOWN_TOPIC
        return Loss("TOPIC_MISSING", range_.topic, -1, 0, 0, 0, f"while reading {range_}") if missing else None
    if range_.partition in topic.partitions:
        return None
    return _loss("VANISHED", range_, position, range_.until_offset, 0)


def _outside(consumer: Consumer, range_: OffsetRange, position: int) -> Loss | None:
    at = TopicPartition(range_.topic, range_.partition)
    begin, end = consumer.get_watermark_offsets(at, timeout=ASK_SECONDS, cached=False)
    if position < begin:
        return _loss("EXPIRED", range_, position, min(begin, range_.until_offset), begin)
    if end < range_.until_offset:
        return _loss("BEYOND_END", range_, end, range_.until_offset, end)
    return None


def _loss(kind: str, range_: OffsetRange, lost_from: int, lost_until: int, resume: int) -> Loss:
    return Loss(kind, range_.topic, range_.partition, lost_from, lost_until, resume, f"while reading {range_}")
