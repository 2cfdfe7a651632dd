"""The one topic that all tuples read, and the log of who produced it.  Never written again.

It holds what readers stumble over: aborted transactions in between and last, so that ranges begin and end with records
nobody may see or with control records, and values that are null or empty.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from servers.daemon import wait_for

PARTITIONS = 3
# Records for each partition, and whether the transaction is committed; each leaves a control record where it wrote.
TRANSACTIONS = (
    ((4, 4, 4), True),
    ((3, 0, 2), False),
    ((2, 5, 1), True),
    ((3, 3, 3), True),
    ((2, 2, 2), False),
    ((4, 1, 5), True),
    ((3, 3, 0), False),
)
BATCH = 24  # offsets: four batches
Place = tuple[int, int]  # partition, offset
Content = tuple[str, str | None]  # key, value


@dataclass(frozen=True)
class Produced:
    """`ends`: the offset behind all, control records included, by partition."""

    topic: str
    committed: Mapping[Place, Content]
    ends: Mapping[int, int]


def produce(bootstrap: str, topic: str) -> Produced:
    """Makes and fills the topic."""
    make(bootstrap, topic, PARTITIONS)
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions(60)
    committed: dict[Place, Content] = {}
    numbers = itertools.count()
    for counts, commits in TRANSACTIONS:
        sent: dict[Place, Content] = {}
        producer.begin_transaction()
        for partition, count in enumerate(counts):
            for number in itertools.islice(numbers, count):
                send(producer, topic, partition, number, sent)
        assert producer.flush(60) == 0
        if commits:
            producer.commit_transaction(60)
            committed |= sent
        else:
            producer.abort_transaction(60)
    return Produced(topic, committed, ends(bootstrap, topic))


def make(bootstrap: str, topic: str, partitions: int) -> None:
    """An empty topic, of which each partition has its leader."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        future.result(30)
    wait_for(lambda: leaders(admin, topic) == partitions, 30, f"{topic} to be created")


def leaders(admin: AdminClient, topic: str) -> int:
    found = admin.list_topics(timeout=10).topics.get(topic)
    return sum(p.leader >= 0 for p in found.partitions.values()) if found else 0


def send(producer: Producer, topic: str, partition: int, number: int, sent: dict[Place, Content]) -> None:
    """One record; where it came to lie is noted in `sent`."""
    key, value = f"key {number}", {3: None, 5: ""}.get(number % 7, f"value {number}")

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        place = message.partition(), message.offset()
        sent[place] = (key, value)  # type: ignore[index]

    producer.produce(topic, value, key, partition, on_delivery=delivered)


def ends(bootstrap: str, topic: str) -> dict[int, int]:
    """Behind the last control record: all transactions have ended."""
    config = {"bootstrap.servers": bootstrap, "group.id": "ends", "isolation.level": "read_committed"}
    with closing(Consumer(config)) as consumer:
        last = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 30) for p in range(PARTITIONS)}
    return {p: end for p, (_, end) in last.items()}
