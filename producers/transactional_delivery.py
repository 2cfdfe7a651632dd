"""Sends in Kafka transactions by librdkafka.  A record is acknowledged once its transaction is committed, not before.

A transaction whose end had no answer leaves its records unknown; the next `open_transactional` with the same id waits
until the brokers have ended it either way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Producer

from producers.connecting import CONNECT_SECONDS, explained
from producers.delivery import DeliveryLog, Item, Progress, Stopped, produce
from producers.librdkafka_delivery import LibrdkafkaDelivery, open_producer
from producers.sequence import Ending


def open_transactional(client: Mapping[str, str], topic: str, transactional_id: str) -> Producer:
    """Fences the producers of this id, and ends what they left open.  Raises ProduceError."""
    producer = open_producer({**client, "transactional.id": transactional_id}, topic)
    try:
        producer.init_transactions(CONNECT_SECONDS)
    except KafkaException as e:
        raise explained(e, client, topic) from e
    return producer


def produce_transactions(
    producer: Producer,
    transactions: Iterable[tuple[Iterable[Item], Ending]],
    log: DeliveryLog,
    patience: float,
    stopped: Stopped = lambda: False,
    progress: Progress = lambda done: None,
) -> None:
    """One after the other.  Aborts the transaction in which it is stopped, or a record fails, and ends there."""
    for items, ending in transactions:
        if stopped() or log.outcome.error:
            return
        held = _Held(log.topic)
        producer.begin_transaction()
        produce(LibrdkafkaDelivery(producer, held, patience), items, stopped)
        broken = held.outcome.error or stopped()
        fate, error = _end(producer, "abort" if broken else ending, patience)
        held.release(log, fate, held.outcome.error or error)
        progress(log.outcome.total)


@dataclass
class _Held(DeliveryLog):
    """Keeps what became of the records until their transaction has ended."""

    kept: list[tuple[str, int, int | None, Item]] = field(default_factory=list)

    def record(self, outcome: str, partition: int, offset: int | None, item: Item, error: str | None = None) -> None:
        super().record(outcome, partition, offset, item, error)
        self.kept.append((outcome, partition, offset, item))

    def release(self, log: DeliveryLog, fate: str, error: str | None) -> None:
        """To the log; whatever was not refused shares the fate of the transaction."""
        for outcome, partition, offset, item in self.kept:
            log.record("failed" if outcome == "failed" else fate, partition, offset, item, error)


def _end(producer: Producer, ending: Ending, patience: float) -> tuple[str, str | None]:
    """The fate of the transaction's records, and why it is not the one that was wanted."""
    if ending == "open":
        return "aborted", None  # by the brokers, once its time is over
    if ending == "abort":
        error = _insist(producer.abort_transaction, patience)
    else:
        error = _insist(producer.commit_transaction, patience)
        if error is None:
            return "acknowledged", None
        if error.txn_requires_abort() and _insist(producer.abort_transaction, patience) is None:
            return "aborted", error.name()
    return ("unknown", error.name()) if error else ("aborted", None)


def _insist(end: Callable[[float], None], patience: float) -> KafkaError | None:
    """Calls until it worked; the error if that did not help within `patience` seconds, or cannot help."""
    until = time.monotonic() + patience
    while True:
        try:
            end(max(0.1, until - time.monotonic()))
            return None
        except KafkaException as e:
            error: KafkaError = e.args[0]
            if not error.retriable() or time.monotonic() > until:
                return error
