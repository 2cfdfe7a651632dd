"""A topic of 10,000 partitions, and a register that reads it: what operators' scripts must not be slow on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from offsets.manager import OffsetManager, current_owner
from offsets.stores import open_store
from offsets.structs import TopicState
from servers.daemon import wait_for
from servers.kafka_server import Kafka
from streaming.source.broker import Broker

PARTITIONS = 10_000
AT_ONCE = 2_500  # a KRaft controller refuses what takes more than 10,000 records of its log
LAGGING = 1_000  # partitions with a record each, the others have none
SECONDS = 300.0


@contextmanager
def wide_topic(kafka: Kafka, partitions: int = PARTITIONS) -> Iterator[str]:
    """Its name; gone after the block, as it makes every restart of the broker slow."""
    admin, name = AdminClient({"bootstrap.servers": kafka.bootstrap}), f"wide-{uuid.uuid4().hex[:8]}"
    small = {"segment.index.bytes": "4096", "segment.bytes": "1048576"}
    for future in admin.create_topics([NewTopic(name, min(AT_ONCE, partitions), 1, config=small)]).values():
        future.result(SECONDS)
    for more in range(2 * AT_ONCE, partitions + 1, AT_ONCE):
        for future in admin.create_partitions([NewPartitions(name, more)], operation_timeout=SECONDS).values():
            future.result(SECONDS)

    def led() -> bool:
        found = admin.list_topics(timeout=30).topics.get(name)
        return found is not None and sum(p.leader >= 0 for p in found.partitions.values()) == partitions

    try:
        wait_for(led, SECONDS, f"{name} to have leaders")
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        for partition in range(min(LAGGING, partitions)):
            producer.produce(name, b"a record", partition=partition)
        assert producer.flush(SECONDS) == 0
        yield name
    finally:
        for future in admin.delete_topics([name], operation_timeout=SECONDS).values():
            future.result(SECONDS)


def register_of(kafka: Kafka, topic: str, store: str) -> None:
    """A taken register in `store` (a URL) that stands at 0 in every partition of the topic."""
    with closing(Broker({"bootstrap.servers": kafka.bootstrap}, SECONDS)) as broker:
        seen = broker.snapshot([topic])[topic]
    with closing(open_store(store)) as opened:
        manager = OffsetManager(opened, current_owner("test"))
        manager.read()
        manager.create(uuid.uuid4().hex, {topic: TopicState(seen.id, dict.fromkeys(seen.partitions, 0))})
        manager.take()
