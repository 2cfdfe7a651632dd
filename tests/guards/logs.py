"""What these tests put into the logs of topics: configured topics, transactions in every position, and an oracle."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from servers.daemon import wait_for
from servers.kafka_server import Kafka

COMMITTED, ABORTED, OPEN = "committed", "aborted", "open"


def created(kafka: Kafka, partitions: int = 1, **config: str) -> str:
    """A new topic; names of its settings with `_` for the dots."""
    admin, name = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0}), f"guarded-{uuid.uuid4().hex[:8]}"
    settings = {key.replace("_", "."): value for key, value in config.items()}
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=settings)]).values():
        future.result(30)
    wait_for(lambda: name in admin.list_topics(timeout=5).topics, 30, f"{name} to be created")
    return name


def producer(kafka: Kafka, **config: str | int) -> Producer:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    return Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0, **settings})


def transactional(kafka: Kafka) -> Producer:
    writer = producer(kafka, transactional_id=uuid.uuid4().hex)
    writer.init_transactions(30)
    return writer


def transaction(writer: Producer, topic: str, partition: int, count: int, outcome: str) -> None:
    """A transaction of so many records; an open one stays open until the writer ends it."""
    writer.begin_transaction()
    for n in range(count):
        writer.produce(topic, f"{outcome} {n}".encode(), key=b"%d" % n, partition=partition)
    assert writer.flush(30) == 0
    if outcome == COMMITTED:
        writer.commit_transaction(30)
    elif outcome == ABORTED:
        writer.abort_transaction(30)


def readable(kafka: Kafka, topic: str, partition: int = 0) -> Sequence[int]:
    """The offsets that a plain reader of committed records sees now, up to the end of the log."""
    config = {"isolation.level": "read_committed", "enable.partition.eof": "true", "auto.offset.reset": "earliest"}
    seen: list[int] = []
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "oracle", "log_level": 0, **config})) as c:
        c.assign([TopicPartition(topic, partition, 0)])
        while True:
            message = c.poll(30)
            assert message is not None
            if message.error():
                return seen
            seen.append(int(message.offset() or 0))


def last_stable(kafka: Kafka, topic: str, partition: int = 0) -> int:
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "end", "isolation.level": "read_committed"}
    with closing(Consumer({**config, "log_level": 0})) as c:
        return int(c.get_watermark_offsets(TopicPartition(topic, partition), timeout=10, cached=False)[1])
