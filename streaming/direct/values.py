"""The values of `pyspark.streaming.kafka`, under its names.  Pure; executors import this, so nothing of Spark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from offsets import structs
from streaming.records import Message

Decoder = Callable[[Any], Any]


class OffsetRange(structs.OffsetRange):
    """The records of one partition from `fromOffset` (inclusive) until `untilOffset` (exclusive).

    A structs.OffsetRange, equal to one of the same fields.
    """

    __slots__ = ()

    def __new__(cls, topic: str, partition: int, fromOffset: int, untilOffset: int) -> OffsetRange:
        return super().__new__(cls, topic, partition, fromOffset, untilOffset)

    @property
    def fromOffset(self) -> int:
        return self.from_offset

    @property
    def untilOffset(self) -> int:
        return self.until_offset

    def count(self) -> int:  # type: ignore[override]  # Spark's name and meaning, not a tuple's
        """Offsets in the range: an upper bound of its records."""
        return self.size()

    def topicPartition(self) -> TopicAndPartition:
        return TopicAndPartition(self.topic, self.partition)


class TopicAndPartition(NamedTuple):
    """Key of `fromOffsets`."""

    topic: str
    partition: int


class Broker(NamedTuple):
    """Of `leaders`, which this project has no use for: any client finds them by itself."""

    host: str
    port: int


def utf8_decoder(s: bytes | None) -> str | None:
    """UTF-8 to text; None (no key, a tombstone) stays None.  Raises UnicodeDecodeError."""
    return None if s is None else s.decode("utf-8")


class KafkaMessageAndMetadata:
    """What a messageHandler is given; `key` and `message` are decoded each time they are asked for."""

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: Any,
        message: Any,
        keyDecoder: Decoder = utf8_decoder,
        valueDecoder: Decoder = utf8_decoder,
    ) -> None:
        self.topic, self.partition, self.offset = topic, partition, offset
        self._key, self._message = key, message
        self._key_decoder, self._value_decoder = keyDecoder, valueDecoder

    @property
    def key(self) -> Any:
        return self._key_decoder(self._key)

    @property
    def message(self) -> Any:
        return self._value_decoder(self._message)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # Decoders may be lambdas, which Spark's pickle of elements does not take: what is handed on is decoded.
        return _decoded, (self.topic, self.partition, self.offset, self.key, self.message)

    def __repr__(self) -> str:
        return f"KafkaMessageAndMetadata(topic: {self.topic}, partition: {self.partition}, offset: {self.offset})"


def _decoded(topic: str, partition: int, offset: int, key: Any, message: Any) -> KafkaMessageAndMetadata:
    return KafkaMessageAndMetadata(topic, partition, offset, key, message, _as_it_is, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


def elements(
    key_decoder: Decoder, value_decoder: Decoder, handler: Callable[[KafkaMessageAndMetadata], Any] | None
) -> Callable[[Message], Any]:
    """Executor: what a stream or RDD is made of, from a message."""

    def pair(message: Message) -> tuple[Any, Any]:
        return key_decoder(message.key()), value_decoder(message.value())

    def handled(message: Message) -> Any:
        place = (message.topic(), message.partition(), message.offset())
        given = KafkaMessageAndMetadata(*place, message.key(), message.value(), key_decoder, value_decoder)
        return handler(given)  # type: ignore[misc]

    return pair if handler is None else handled
