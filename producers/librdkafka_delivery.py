"""Sends by librdkafka (confluent-kafka), outside transactions.  Idempotent and acks=all unless told otherwise."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producers.connecting import LOGGER, explained
from producers.delivery import FLUSH_SECONDS, NO_ANSWER_AT_END, WAIT_SECONDS, WINDOW, DeliveryLog, Item, Stopped

# message.timeout.ms 0: no record ever times out on its own, as those behind it may then still arrive and leave a gap
# before them.  The delivery gives up on all of them at once.  The partitioner is that of the Java client.
_DEFAULTS: Mapping[str, str] = {
    "acks": "all",
    "linger.ms": "20",
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": str(2 * WINDOW),
    "message.timeout.ms": "0",
    "allow.auto.create.topics": "false",
    "reconnect.backoff.max.ms": "1000",
}


def open_producer(client: Mapping[str, str], topic: str) -> Producer:
    """Connects in the background.  Raises ProduceError for wrong properties."""
    idempotent = "true" if client.get("acks", "all") in ("all", "-1") else "false"
    try:
        return Producer({**_DEFAULTS, "enable.idempotence": idempotent, **client}, logger=LOGGER)
    except KafkaException as e:
        raise explained(e, client, topic) from e


class LibrdkafkaDelivery:
    """Gives up when records wait and none has been answered for `patience` seconds."""

    def __init__(self, producer: Producer, log: DeliveryLog, patience: float) -> None:
        self.log = log
        self._producer, self._patience = producer, patience
        self._answered_at = time.monotonic()
        self._giving_up = ""

    def send(self, item: Item) -> None:
        def answered(error: KafkaError | None, message: Message) -> None:
            self._answer(item, error, message)

        if not self._waiting:
            self._answered_at = time.monotonic()
        headers: Any = list(item.headers) or None
        hand_over = partial(self._producer.produce, on_delivery=answered, headers=headers)
        while True:
            try:
                return hand_over(self.log.topic, item.value, item.key, item.partition)
            except BufferError:  # so many bytes are on their way
                self._wait()
            except KafkaException as e:
                return self.log.record("failed", item.partition, None, item, e.args[0].name())

    def look(self, stopped: Stopped) -> None:
        self._producer.poll(0)
        self._look_at_the_clock()
        while self._waiting > WINDOW and not stopped():
            self._wait()

    def finish(self, stopped: Stopped) -> None:
        asked = time.monotonic()
        while self._waiting:
            self._wait()
            if stopped() and time.monotonic() - asked > FLUSH_SECONDS:
                self._give_up(NO_ANSWER_AT_END)

    @property
    def _waiting(self) -> int:
        return len(self._producer)

    def _wait(self) -> None:
        self._producer.flush(WAIT_SECONDS)
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        if self._waiting and time.monotonic() - self._answered_at > self._patience:
            self._give_up(f"no answer within {self._patience:g} s")

    def _give_up(self, why: str) -> None:
        self._giving_up = why
        self._producer.purge()
        self._producer.flush(WAIT_SECONDS)

    def _answer(self, item: Item, error: KafkaError | None, message: Message) -> None:
        partition = message.partition() or 0
        self._answered_at = time.monotonic()
        if error is None:
            self.log.record("acknowledged", partition, message.offset(), item)
        else:
            self.log.record(_judge(error), partition, None, item, self._giving_up or error.name())


def _judge(error: KafkaError) -> str:
    """Only a broker's final refusal is a failure, and what was never sent; any other record may have been written."""
    refused = error.code() > 0 and not error.retriable()
    return "failed" if refused else "unknown"
