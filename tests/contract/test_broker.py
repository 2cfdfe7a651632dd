"""The driver's view of Kafka against a real broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from offsets.errors import StreamError, UnavailableError
from offsets.snapshot import TopicSnapshot
from offsets.structs import TopicPartition
from servers.kafka_server import Kafka
from streaming.source.broker import Broker

DEADLINE = 10.0


@pytest.fixture
def broker(kafka: Kafka) -> Iterator[Broker]:
    made = Broker({"bootstrap.servers": kafka.bootstrap}, DEADLINE)
    yield made
    made.close()


@pytest.fixture
def topic(admin: AdminClient) -> Callable[..., str]:
    """`topic(partitions=1, name="")` makes one."""

    def make(partitions: int = 1, name: str = "") -> str:
        name = name or f"broker-{uuid.uuid4().hex[:8]}"
        wait(admin.create_topics([NewTopic(name, partitions, 1)]))
        return name

    return make


@pytest.fixture
def admin(kafka: Kafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})


def wait(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        future.result(30)


def write(kafka: Kafka, topic: str, count: int, partition: int = 0, **config: str) -> Producer:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0, **settings})
    if settings:
        producer.init_transactions(30)
        producer.begin_transaction()
    for n in range(count):
        producer.produce(topic, b"%d" % n, partition=partition)
    assert producer.flush(30) == 0
    return producer


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_snapshot(broker: Broker, kafka: Kafka, topic: Callable[..., str]) -> None:
    """Every partition of every topic with its beginning and end; a topic that does not exist is absent."""
    one, two = topic(3), topic(1)
    write(kafka, one, 5, partition=2)
    seen = broker.snapshot([one, two, "no-such-topic", one])
    assert set(seen) == {one, two}
    assert seen[one].partitions == {0: (0, 0), 1: (0, 0), 2: (0, 5)}
    assert isinstance(seen[one], TopicSnapshot)
    assert seen[one].id != seen[two].id


def test_last_stable_offset(broker: Broker, kafka: Kafka, topic: Callable[..., str]) -> None:
    """An open transaction's records are not in reach until it ends (K2)."""
    name = topic()
    write(kafka, name, 3)
    producer = write(kafka, name, 4, transactional_id=name)
    assert broker.snapshot([name])[name].partitions == {0: (0, 3)}
    producer.commit_transaction(30)
    eventually(lambda: broker.snapshot([name])[name].partitions == {0: (0, 8)})


def test_changes_are_seen_at_once(broker: Broker, kafka: Kafka, admin: AdminClient, topic: Callable[..., str]) -> None:
    """A topic that was recreated has another id, a new partition is there, a deleted topic is absent (K7, K10)."""
    name = topic()
    before = broker.snapshot([name])[name].id
    wait(admin.create_partitions([NewPartitions(name, 2)]))
    eventually(lambda: set(broker.snapshot([name])[name].partitions) == {0, 1})
    wait(admin.delete_topics([name]))
    eventually(lambda: broker.snapshot([name]) == {})
    topic(1, name)
    eventually(lambda: name in broker.snapshot([name]))
    assert broker.snapshot([name])[name].id != before


def test_recreated_while_looking(broker: Broker, kafka: Kafka, admin: AdminClient, topic: Callable[..., str]) -> None:
    """Offsets of a topic that was recreated between two questions never come under the old id (K7)."""
    name = topic()
    old = broker.snapshot([name])[name].id
    ask = broker._offsets

    def recreate_then_ask(*arguments: Any) -> Any:
        broker._offsets = ask  # type: ignore[method-assign]
        wait(admin.delete_topics([name]))
        eventually(lambda: name not in admin.list_topics(timeout=5).topics)
        topic(1, name)
        write(kafka, name, 9)
        return ask(*arguments)

    broker._offsets = recreate_then_ask  # type: ignore[method-assign]
    seen = broker.snapshot([name])
    assert name not in seen or (seen[name].id != old and seen[name].partitions == {0: (0, 9)})


def test_offsets_for_times(broker: Broker, kafka: Kafka, topic: Callable[..., str]) -> None:
    """The first record at or after the time, of those that a reader of committed records can reach; or none."""
    name = topic(2)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for n in range(5):
        producer.produce(name, b"v", partition=0, timestamp=1_700_000_000_000 + n * 1000)
    assert producer.flush(30) == 0
    opened = write(kafka, name, 2, partition=1, transactional_id=name)
    for time_ms, expected in ((0, 0), (1_700_000_002_000, 2), (1_700_000_002_001, 3), (1_700_000_004_001, None)):
        asked = dict.fromkeys([TopicPartition(name, 0), TopicPartition(name, 1)], time_ms)
        assert broker.offsets_for_times(asked) == {(name, 0): expected, (name, 1): None}
    opened.commit_transaction(30)
    eventually(lambda: broker.offsets_for_times({TopicPartition(name, 1): 0}) == {(name, 1): 0})


def test_many_partitions(broker: Broker, topic: Callable[..., str]) -> None:
    """Hundreds of partitions cost a few round trips, not one each."""
    name = topic(300)
    eventually(lambda: len(broker.snapshot([name])[name].partitions) == 300)
    began = time.monotonic()
    broker.snapshot([name])
    assert time.monotonic() - began < 5


def test_snapshot_is_cheap(broker: Broker, topic: Callable[..., str]) -> None:
    """Planning every 100 ms is affordable: 2 ms were measured, and a loaded machine is allowed a lot more."""
    name = topic(4)
    broker.snapshot([name])
    times = []
    for _ in range(20):
        began = time.monotonic()
        broker.snapshot([name])
        times.append(time.monotonic() - began)
    assert min(times) < 0.02


def test_existing_topics(broker: Broker, topic: Callable[..., str]) -> None:
    """All topics, without Kafka's own."""
    name = topic()
    eventually(lambda: name in broker.existing_topics())
    assert not [n for n in broker.existing_topics() if n.startswith("__")]


def test_unreachable(capfd: pytest.CaptureFixture[str]) -> None:
    """Servers that are not there end in one error within the deadline, naming them; stderr stays empty."""
    broker = Broker({"bootstrap.servers": "127.0.0.1:1"}, 2.0)
    for call in (lambda: broker.snapshot(["t"]), broker.existing_topics):
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=r"bootstrap\.servers=127\.0\.0\.1:1"):
            call()
        assert 1.5 < time.monotonic() - began < 10
    broker.close()
    assert capfd.readouterr().err == ""


def test_broker_away_for_a_moment(broker: Broker, kafka: Kafka, topic: Callable[..., str]) -> None:
    """A broker that comes back within the deadline is waited for; its topics never seem to be gone."""
    name = topic(2)
    before = broker.snapshot([name])
    kafka.broker.stop()
    back = threading.Timer(2.0, kafka.broker.cont)
    back.start()
    after = broker.snapshot([name])
    assert (after[name].id, after[name].partitions) == (before[name].id, before[name].partitions)
    back.join()


@pytest.mark.full  # that of the fetch is not
def test_broker_restart(kafka: Kafka, topic: Callable[..., str]) -> None:
    """A broker that dies and restarts within the deadline: the same answer as before."""
    broker = Broker({"bootstrap.servers": kafka.bootstrap}, 120.0)  # a JVM may take its time to start
    name = topic(2)
    write(kafka, name, 5)
    before = broker.snapshot([name])
    kafka.broker.kill()
    restart = threading.Thread(target=kafka.broker.restart)
    restart.start()
    after = broker.snapshot([name])
    assert (after[name].id, after[name].partitions) == (before[name].id, before[name].partitions)
    assert after[name].epochs[0] > before[name].epochs[0], "a leader that restarts is a new one"
    restart.join()


class Refusing:
    """An admin client whose every answer is one error."""

    def __init__(self, code: int) -> None:
        self.code = code

    def poll(self, timeout: float) -> int:
        return 0

    def describe_topics(self, topics: Any, **_: Any) -> dict[str, Any]:
        future: Future[Any] = Future()
        future.set_exception(KafkaException(KafkaError(self.code)))
        return {"t": future}


def test_not_authorised() -> None:
    """A refusal is an error that names topic and operation; it is never an absent topic or an empty one (P4)."""
    broker = Broker({}, 1.0, lambda *_: Refusing(KafkaError.TOPIC_AUTHORIZATION_FAILED))  # type: ignore[arg-type,return-value]
    with pytest.raises(StreamError, match="not authorised to DESCRIBE t") as caught:
        broker.snapshot(["t"])
    assert not isinstance(caught.value, UnavailableError)


def test_no_leader_is_not_gone() -> None:
    """A partition without a leader is asked for until the deadline, then unavailable; never absent."""
    broker = Broker({}, 0.5, lambda *_: Refusing(KafkaError.LEADER_NOT_AVAILABLE))  # type: ignore[arg-type,return-value]
    with pytest.raises(UnavailableError, match="t:"):
        broker.snapshot(["t"])
