"""confluent-kafka as a Source.  Runs on executors."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from offsets.structs import TopicPartition
from streaming.fetching.source import Forbidden, Look, Unanswered, Unreadable
from streaming.source.client import open_consumer

ASK_SECONDS = 2.0
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID}

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


class ClientSource:
    """See `streaming.fetching.source.Source`.  A new one waits for no broker."""

    def __init__(self, properties: Mapping[str, str], seconds: float) -> None:
        self.trouble = ""
        self._known: set[str] = set()
        self._consumer = open_consumer(properties, self._noted)

    def start(self, at: TopicPartition, offset: int) -> None:
        self._meet(at.topic)
        self._at, self._place = at, Place(*at)
        self._delivered = False
        self._consumer.assign([Place(*at, offset)])

    def look(self, wanted: int, seconds: float) -> Look:
        events = self._events(wanted, seconds)
        errors = any(map(Message.error, events))
        records = [m for m in events if m.error() is None] if errors else events
        offsets: list[int] = list(map(Message.offset, records))  # type: ignore[arg-type]
        position, halted = self._judge(events, offsets[-1] + 1 if offsets else -1) if errors else (-1, False)
        if self._delivered:  # before the first event it is still the position of the last assignment
            position = max(position, self._consumer.position([self._place])[0].offset)
        # The stubs allow a message without topic; those that carry no error have one.
        return Look(records, offsets, position, halted)  # type: ignore[arg-type]

    def partitions(self, topic: str) -> Collection[int] | None:
        found = self._list(topic)
        if found.error is None:
            return found.partitions.keys()
        if found.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise Forbidden(found.error.name())
        if found.error.code() in _UNKNOWN_TOPIC:
            return None
        raise Unanswered(found.error.str())

    def span(self, at: TopicPartition) -> tuple[int, int]:
        try:
            return self._consumer.get_watermark_offsets(Place(*at), timeout=ASK_SECONDS, cached=False)
        except KafkaException as e:
            raise Unanswered(str(e)) from e

    def pause(self) -> None:
        self._consumer.unassign()

    def close(self) -> None:
        self._consumer.close()

    def _meet(self, topic: str) -> None:
        """Asks for the topic's leaders: left to itself, librdkafka takes a second to see a topic that is new to it."""
        if topic not in self._known:
            with suppress(Unanswered):  # the broker may be away for now; the assignment waits for it
                self._list(topic)
                self._known.add(topic)

    def _list(self, topic: str) -> Any:
        try:
            return self._consumer.list_topics(topic, timeout=ASK_SECONDS).topics[topic]
        except KafkaException as e:
            raise Unanswered(str(e)) from e

    def _events(self, wanted: int, seconds: float) -> list[Message]:
        """Blocks for one event only: asking for more at once would wait out the time whenever there are holes."""
        events = self._consumer.consume(1, seconds)
        if events and wanted > 1:
            events += self._consumer.consume(wanted - 1, 0)
        if events and not self._delivered:  # what an earlier assignment left behind can only come first
            events = [e for e in events if (e.topic(), e.partition()) == self._at]
            self._delivered = bool(events)
        return events

    def _judge(self, events: list[Message], reached: int) -> tuple[int, bool]:
        """Position and halt, as the errors among the events tell them."""
        position, halted = -1, False
        for event in events:
            if (error := event.error()) is None:
                continue
            if error.code() == KafkaError._PARTITION_EOF:
                position = max(position, event.offset() or 0)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                halted = True
            elif error.code() not in _TRANSIENT:
                _refuse(error, reached)
        return position, halted

    def _noted(self, error: KafkaError) -> None:
        self.trouble = error.str()


def _refuse(error: KafkaError, reached: int) -> NoReturn:
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise Forbidden(error.name())
    raise Unreadable(f"{error.str()} ({error.name()})", reached)
