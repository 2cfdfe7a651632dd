"""Sends by kafka-python; partitions take turns.  Idempotent, acks=all."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import BrokerResponseError, KafkaError

from producers.connecting import CONNECT_SECONDS, ProduceError
from producers.delivery import FLUSH_SECONDS, NO_ANSWER_AT_END, WAIT_SECONDS, WINDOW, DeliveryLog, Item, Stopped


def open_producer(servers: str, patience: float) -> KafkaProducer:
    """`patience`: seconds after which a record without an answer is given up as unknown.  Raises ProduceError."""
    try:
        return _Producer(
            bootstrap_servers=servers.split(","),
            bootstrap_timeout_ms=int(CONNECT_SECONDS * 1000),
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            linger_ms=20,
            batch_size=1 << 17,
            metrics_enabled=False,
            reconnect_backoff_max_ms=1000,
            request_timeout_ms=int(patience * 1000) // 2,
            delivery_timeout_ms=int(patience * 1000),
            max_block_ms=int(patience * 1000),
        )
    except (KafkaError, ValueError) as e:
        raise ProduceError(f"no Kafka broker answered at {servers} within {CONNECT_SECONDS:g} s ({e})", 69) from e


class _Producer(KafkaProducer):  # type: ignore[misc,unused-ignore]
    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """kafka-python's own raises, from __del__ too, when records have no answer: the log accounts for them."""
        with suppress(KafkaError):
            super().close(timeout, null_logger)


class KafkaPythonDelivery:
    """What is on its way, oldest first.

    A record without an answer for `patience` seconds is unknown, and so are all after it: kafka-python alone would
    wait for a vanished broker for ever.
    """

    def __init__(self, producer: KafkaProducer, log: DeliveryLog, patience: float) -> None:
        self.log = log
        self._producer, self._patience = producer, patience
        self._partitions = sorted(producer.partitions_for(log.topic))
        self._waiting: deque[tuple[Any, int, Item, float]] = deque()  # future, partition, item, when sent
        self._turn = 0

    def send(self, item: Item) -> None:
        partition = self._partitions[self._turn % len(self._partitions)]
        self._turn += 1
        try:
            future = self._producer.send(self.log.topic, item.value, partition=partition)
        except KafkaError as e:  # it was not handed over
            self.log.record("failed", partition, None, item, type(e).__name__)
        else:
            self._waiting.append((future, partition, item, time.monotonic()))

    def look(self, stopped: Stopped) -> None:
        self._log_answered()
        while len(self._waiting) > WINDOW and not stopped():
            self._wait_for_oldest()

    def finish(self, stopped: Stopped) -> None:
        asked = time.monotonic()
        while self._waiting and not (stopped() and time.monotonic() - asked > FLUSH_SECONDS):
            self._wait_for_oldest()
        self._give_up(NO_ANSWER_AT_END)

    def _wait_for_oldest(self) -> None:
        with suppress(KafkaError):  # its own failure is looked at below; a timeout only means: not yet
            self._waiting[0][0].get(timeout=WAIT_SECONDS)
        self._log_answered()

    def _log_answered(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0].is_done:
            future, partition, item, _ = waiting.popleft()
            if future.succeeded():
                self.log.record("acknowledged", partition, future.value.offset, item)
            else:
                self.log.record(_judge(future.exception), partition, None, item, type(future.exception).__name__)
        if waiting and time.monotonic() - waiting[0][3] > self._patience:
            self._give_up(f"no answer within {self._patience:g} s")

    def _give_up(self, why: str) -> None:
        for _, partition, item, _ in self._waiting:
            self.log.record("unknown", partition, None, item, why)
        self._waiting.clear()


def _judge(error: BaseException) -> str:
    """Only a broker's final refusal is a failure; whatever else went wrong, the record may have been written."""
    return "failed" if isinstance(error, BrokerResponseError) and not error.retriable else "unknown"
