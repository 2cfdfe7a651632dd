"""kafka-python as a Source: pure Python, for executors that have no wheel of librdkafka.  Runs on executors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as Place
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    OffsetOutOfRangeError,
    RetriableError,
    TopicAuthorizationFailedError,
    UnknownTopicIdError,
    UnknownTopicOrPartitionError,
)

from offsets.errors import StreamError, UnavailableError
from offsets.structs import TopicPartition
from streaming.fetching import kafka_python_properties as properties_of
from streaming.fetching.source import Forbidden, Look, Unanswered, Unreadable

T = TypeVar("T")
ASK_MS = 2000
POLL_MS = 20  # poll() waits so long for a record although the position has moved over a hole
_UNKNOWN_TOPIC = {UnknownTopicOrPartitionError.errno, UnknownTopicIdError.errno}


class ConsumedMessage:
    """A ConsumerRecord with the methods of a confluent_kafka.Message."""

    __slots__ = ("_record",)

    def __init__(self, record: Any) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def partition(self) -> int:
        return self._record.partition

    def offset(self) -> int:
        return self._record.offset

    def timestamp(self) -> tuple[int, int]:
        """Kafka's own 0 (made) and 1 (appended) are librdkafka's 1 and 2; the oldest records have no timestamp."""
        kind = self._record.timestamp_type
        return (0, -1) if kind is None else (kind + 1, self._record.timestamp)

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        return self._record.headers or None


class ClientSource:
    """See `streaming.fetching.source.Source`.  A new one waits for a broker's answer."""

    def __init__(self, properties: Mapping[str, str], seconds: float) -> None:
        self.trouble = ""
        self._connection = properties_of.connection(properties)
        self._consumer = _opened(properties_of.consumer(properties), seconds)

    def start(self, at: TopicPartition, offset: int) -> None:
        self._place = Place(*at)
        self._consumer.assign([self._place])
        self._consumer.seek(self._place, offset)

    def look(self, wanted: int, seconds: float) -> Look:
        records: Sequence[Any] = ()
        position = None
        try:
            records = self._consumer.poll(min(POLL_MS, round(seconds * 1000)), wanted).get(self._place, ())
            position = self._consumer.position(self._place, 0)
        except OffsetOutOfRangeError:
            return Look((), (), -1, halted=True)
        except RetriableError as e:  # perhaps after the poll: its records would not come again
            self.trouble = str(e)
        except TopicAuthorizationFailedError as e:
            raise Forbidden(str(e)) from e
        except KafkaError as e:
            raise Unreadable(str(e)) from e
        return Look([*map(ConsumedMessage, records)], [r.offset for r in records], -1 if position is None else position)

    def partitions(self, topic: str) -> Collection[int] | None:
        (found,) = _asked(lambda: self._described(topic))
        code = found["error_code"]
        if code == TopicAuthorizationFailedError.errno:
            raise Forbidden(TopicAuthorizationFailedError.__name__)
        if code in _UNKNOWN_TOPIC:
            return None
        if code:
            raise Unanswered(f"error {code}")
        return [p["partition_index"] for p in found["partitions"]]

    def span(self, at: TopicPartition) -> tuple[int, int]:
        place = Place(*at)
        begin = _asked(lambda: self._consumer.beginning_offsets([place], ASK_MS))
        end = _asked(lambda: self._consumer.end_offsets([place], ASK_MS))
        return begin[place], end[place]

    def pause(self) -> None:
        self._consumer.assign([])
        self._consumer.poll(0)  # drops what was fetched ahead: the next range may begin right there, much later

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=ASK_MS)

    def _described(self, topic: str) -> Any:
        """By a connection of its own: the consumer's view of the topics is a cached one, without reasons."""
        limits = {"bootstrap_timeout_ms": ASK_MS, "request_timeout_ms": ASK_MS}
        with closing(KafkaAdminClient(**self._connection, **limits)) as admin:
            return admin.describe_topics([topic])


def _opened(config: Mapping[str, Any], seconds: float) -> KafkaConsumer:
    try:
        return KafkaConsumer(**config, bootstrap_timeout_ms=round(seconds * 1000))
    except RetriableError as e:
        raise UnavailableError(
            f"Kafka did not answer within {seconds:g} s: {e}",
            "see that the brokers run and can be reached from the executors, then launch again; nothing was published",
        ) from e
    except KafkaError as e:
        raise StreamError(f"kafka-python cannot connect: {e}", "correct the job's [kafka] section") from e


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except AuthorizationError as e:
        raise Forbidden(str(e)) from e
    except KafkaError as e:
        raise Unanswered(str(e)) from e
