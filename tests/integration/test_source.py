"""What a job reads, in whole launches: by pattern from a time on with kafka-python, then one partition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from servers.kafka_server import Kafka
from tests.integration.jobs import Job, Topics, once

NOON = 1_700_000_000_000


def dated(kafka: Kafka, topic: str, partition: int, count: int) -> None:
    """`count` records, a second apart from NOON on."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for n in range(count):
        producer.produce(topic, b"%d" % n, partition=partition, timestamp=NOON + n * 1000)
    assert producer.flush(60) == 0


def drop(job: Job, *options: str) -> None:
    for option in options:
        del job.settings[option]


@pytest.mark.full
def test_a_job_changes_how_it_names_what_it_reads(kafka: Kafka, topics: Topics, job: Callable[..., Job]) -> None:
    """A pattern from a time on, a topic that comes to match, then one partition of that: every record once."""
    one = topics.create(2)
    for partition in (0, 1):
        dated(kafka, one, partition, 5)
    made = job("", source__client="kafka-python", source__subscribePattern=f"{one}|{one}-.*")
    drop(made, "source.subscribe", "source.startingOffsets")
    made.write(source__startingTimestamp=str(NOON + 2000))
    run = made.run()
    assert run.status == 0, run.said
    expected = once(one, {0: (2, 5), 1: (2, 5)})
    assert made.landed() == expected

    two = topics.create(2, name=f"{one}-eu")
    topics.fill(two, 3, 4)
    topics.fill(one, 1)
    run = made.run()
    assert run.status == 0, run.said
    expected += once(one, {0: (5, 6)}) + once(two, {0: (0, 3), 1: (0, 4)})
    assert made.landed() == expected
    assert run.summary["sources"][0]["description"] == f"KafkaDirectStream[SubscribePattern[{one}|{one}-.*]]"

    drop(made, "source.subscribePattern")
    topics.fill(two, 2, 2)
    topics.delete(one)  # no longer named: no loss of this job
    made.write(source__assign=f'{{"{two}":[1]}}', source__client="confluent-kafka")
    run = made.run()
    assert run.status == 0, run.said
    expected += once(two, {1: (4, 6)})
    assert made.landed() == expected
    assert made.offsets(two) == {0: 3, 1: 6}
