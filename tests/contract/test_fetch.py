"""The fetch of one range against a real broker: exactly its committed records, or an error that says why."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from offsets import failpoints
from offsets.errors import DataLossError, StreamError, UnavailableError
from offsets.structs import OffsetRange
from servers.kafka_server import Kafka
from streaming.fetching import kept
from streaming.fetching.ranges import read_range
from streaming.fetching.source import CLIENTS, KAFKA_PYTHON, LIBRDKAFKA, Client, open_source
from streaming.records import Message, from_message

PATIENCE = 30.0


class Cluster:
    """What a test does to the broker and its topics."""

    def __init__(self, kafka: Kafka, client: str) -> None:
        self.servers = {"bootstrap.servers": kafka.bootstrap}
        self.client = Client(client, {**self.servers, "group.id": "fetch"})
        self.admin = AdminClient({**self.servers, "log_level": 0})

    def topic(self, name: str = "", **config: str) -> str:
        name = name or f"fetch-{uuid.uuid4().hex[:8]}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        wait(self.admin.create_topics([NewTopic(name, 1, 1, config=settings)]))
        eventually(lambda: self.end(name) >= 0)
        return name

    def delete(self, topic: str) -> None:
        wait(self.admin.delete_topics([topic]))
        eventually(lambda: topic not in self.admin.list_topics(timeout=5).topics)

    def delete_records(self, topic: str, before: int) -> None:
        wait(self.admin.delete_records([TopicPartition(topic, 0, before)]))

    def end(self, topic: str) -> int:
        consumer = Consumer({**self.servers, "group.id": "end", "log_level": 0})
        try:
            return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5, cached=False)[1])
        except KafkaException:
            return -1
        finally:
            consumer.close()

    def write(self, topic: str, values: Sequence[bytes], **config: str) -> None:
        producer = Producer({**self.servers, "linger.ms": 50, "log_level": 0, **dashed(config)})
        for value in values:
            while True:
                try:
                    producer.produce(topic, value, partition=0)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(60) == 0

    def readable(self, topic: str) -> list[int]:
        """Offsets that a plain reader of committed records sees now, up to the end of the log: the oracle."""
        config = {"isolation.level": "read_committed", "enable.partition.eof": "true", "auto.offset.reset": "earliest"}
        consumer = Consumer({**self.servers, **config, "group.id": "oracle", "log_level": 0})
        consumer.assign([TopicPartition(topic, 0, 0)])
        seen: list[int] = []
        while True:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                consumer.close()
                return seen
            seen.append(message.offset())

    def read(self, topic: str, begin: int, until: int, patience: float = PATIENCE) -> list[Message]:
        chunks = list(read_range(self.client, OffsetRange(topic, 0, begin, until), patience))
        assert all(chunks), "an empty chunk was yielded"
        return [message for chunk in chunks for message in chunk]

    def offsets(self, topic: str, begin: int, until: int, patience: float = PATIENCE) -> list[int]:
        return [m.offset() for m in self.read(topic, begin, until, patience)]


def dashed(config: dict[str, str]) -> dict[str, str]:
    return {key.replace("_", "."): value for key, value in config.items()}


def wait(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        future.result(30)


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# For what takes seconds: the other client's in full.
ONE_IN_PLAIN = pytest.mark.parametrize(
    "cluster", [LIBRDKAFKA, pytest.param(KAFKA_PYTHON, marks=pytest.mark.full)], indirect=True
)


@pytest.fixture(params=CLIENTS)
def cluster(request: pytest.FixtureRequest, kafka: Kafka) -> Iterator[Cluster]:
    """Every test here holds for either client."""
    yield Cluster(kafka, request.param)
    failpoints.arm(None)
    for source in kept._idle.values():
        source.close()
    kept._idle.clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every consumer that the fetch opens."""
    made: list[Any] = []

    def counting(*arguments: Any) -> Any:
        made.append(open_source(*arguments))
        return made[-1]

    monkeypatch.setattr(kept, "open_source", counting)
    return made


def transactional(cluster: Cluster, topic: str) -> Producer:
    producer = Producer({**cluster.servers, "transactional.id": uuid.uuid4().hex, "log_level": 0})
    producer.init_transactions(30)
    return producer


def send(producer: Producer, topic: str, count: int) -> None:
    producer.begin_transaction()
    for n in range(count):
        producer.produce(topic, b"%d" % n, partition=0)
    producer.flush(30)


def test_transactions(cluster: Cluster) -> None:
    """Aborted, control and open records at the start, in the middle, at the end, everywhere: every range of the log
    ends and has its committed records and no other (K2, all corners of SPARK-25005)."""
    topic = cluster.topic()
    producer = transactional(cluster, topic)
    for count, end in (3, "commit"), (4, "abort"), (2, "commit"), (1, "abort"):
        send(producer, topic, count)
        producer.commit_transaction(30) if end == "commit" else producer.abort_transaction(30)
    send(producer, topic, 2)  # 0-2 c3, 4-7 aborted c8... and two records of a transaction that stays open
    committed = [0, 1, 2, 9, 10]
    last_stable = 14
    eventually(lambda: cluster.end(topic) == last_stable)
    for begin, until in combinations(range(last_stable + 1), 2):
        expected = [o for o in committed if begin <= o < until]
        assert cluster.offsets(topic, begin, until) == expected, (begin, until)
    producer.abort_transaction(30)


@pytest.fixture(scope="module")
def compacted(kafka: Kafka) -> tuple[str, int]:
    """A topic with holes, and its end.  Made once: the broker's cleaner takes a quarter of a minute."""
    cluster = Cluster(kafka, LIBRDKAFKA)
    topic = cluster.topic(
        cleanup_policy="compact",
        segment_ms="200",
        min_cleanable_dirty_ratio="0.001",
        max_compaction_lag_ms="500",
    )
    producer = Producer({**cluster.servers, "linger.ms": 0, "log_level": 0})
    written = 0

    def cleaned() -> bool:
        nonlocal written
        for n in range(4):
            producer.produce(topic, b"v", key=b"k%d" % n, partition=0)
        assert producer.flush(30) == 0
        written += 4
        return len(cluster.readable(topic)) < min(written, 20) and written >= 20

    eventually(cleaned, 90)
    return topic, written


def test_compacted_topic(cluster: Cluster, compacted: tuple[str, int]) -> None:
    """Holes that compaction left anywhere in a range, also at its end, neither hang nor fail it (K1)."""
    topic, written = compacted
    eventually(lambda: cluster.readable(topic) == cluster.readable(topic))
    readable = cluster.readable(topic)
    assert readable[0] > 4, "nothing was compacted away"
    for begin, until in [(0, written), (0, 3), (1, 2), (0, readable[0]), (0, readable[0] + 1), (2, written - 1)]:
        got = cluster.offsets(topic, begin, until)
        assert set(cluster.readable(topic)) & set(range(begin, until)) <= set(got) <= set(range(begin, until))


@pytest.mark.parametrize(("begin", "until"), [(0, 1), (7, 8), (3, 333), (999, 1000), (0, 1000), (500, 501), (10, 10)])
def test_range_within_batches(cluster: Cluster, begin: int, until: int) -> None:
    """A range that begins or ends inside a batch of the log has exactly its own records, in order."""
    topic = cluster.topic("fetch-batches") if cluster.end("fetch-batches") < 0 else "fetch-batches"
    if cluster.end(topic) == 0:
        cluster.write(topic, [b"%d" % n for n in range(1500)])
    assert cluster.offsets(topic, begin, until) == list(range(begin, until))


def test_what_a_record_carries(cluster: Cluster) -> None:
    """Null is not empty, in keys, values and headers; timestamps and headers arrive as sent (K13)."""
    topic = cluster.topic()
    producer = Producer({**cluster.servers, "log_level": 0})
    producer.produce(topic, b"", key=None, partition=0, timestamp=1_700_000_000_123)
    producer.produce(topic, None, key=b"", partition=0, headers=[("a", b"1"), ("a", None), ("b", b"")])
    producer.flush(30)
    first, second = cluster.read(topic, 0, 2)
    assert (first.key(), first.value(), first.timestamp()[1]) == (None, b"", 1_700_000_000_123)
    assert (second.key(), second.value()) == (b"", None)
    assert second.headers() == [("a", b"1"), ("a", None), ("b", b"")]
    assert (first.topic(), first.partition(), first.offset(), first.headers()) == (topic, 0, 0, None)


@pytest.mark.parametrize(("kind", "number"), [("CreateTime", 1), ("LogAppendTime", 2)])
def test_whose_time_it_is(cluster: Cluster, kind: str, number: int) -> None:
    """The same numbers from either client: 1 when it was made, 2 when the log took it."""
    topic = cluster.topic(message_timestamp_type=kind)
    cluster.write(topic, [b"v"])
    (message,) = cluster.read(topic, 0, 1)
    assert message.timestamp()[0] == number
    assert from_message(message).timestamp_type == number


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches(cluster: Cluster, codec: str) -> None:
    """Whatever producers compress with, a range that begins and ends inside a batch has its own records."""
    topic = cluster.topic()
    values = [b"%d" % n * 50 for n in range(200)]
    cluster.write(topic, values, compression_type=codec)
    assert [m.value() for m in cluster.read(topic, 0, 200)] == values
    assert cluster.offsets(topic, 50, 150) == list(range(50, 150))


def test_large_records(cluster: Cluster) -> None:
    """Records of 5 MB are read, between small ones, with no setting of the job's (K12)."""
    topic = cluster.topic(max_message_bytes="6291456")
    values = [b"a", b"x" * 5_000_000, b"b", b"y" * 5_000_000]
    for value in values:
        cluster.write(topic, [value], message_max_bytes="6291456")
    assert [len(m.value()) for m in cluster.read(topic, 0, 4)] == [1, 5_000_000, 1, 5_000_000]


def test_expired(cluster: Cluster) -> None:
    """Records deleted before they were read are a loss that names them; nothing is read in their place (K5)."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 20)
    cluster.delete_records(topic, 7)
    with pytest.raises(DataLossError) as caught:
        cluster.read(topic, 2, 20)
    loss = caught.value.losses[0]
    assert (loss.kind, loss.topic, loss.partition) == ("EXPIRED", topic, 0)
    assert (loss.lost_from, loss.lost_until, loss.resume) == (2, 7, 7)
    assert cluster.offsets(topic, 7, 20) == list(range(7, 20))


def test_expired_in_mid_range(cluster: Cluster) -> None:
    """Records deleted while a range is read: all of it comes, or it fails; never a part of it as the whole (K6)."""
    topic = cluster.topic()
    cluster.write(topic, [b"v" * 1000] * 60_000)
    failpoints.arm(lambda name: cluster.delete_records(topic, 59_000) if name == "fetch.mid" else None)
    with pytest.raises(DataLossError) as caught:
        cluster.read(topic, 0, 60_000)
    assert caught.value.losses[0].kind == "EXPIRED"
    assert caught.value.losses[0].lost_until == 59_000


def test_beyond_the_end(cluster: Cluster) -> None:
    """A beginning past the end of the log is a loss."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 5)
    with pytest.raises(DataLossError) as caught:
        cluster.read(topic, 9, 12)
    assert (caught.value.losses[0].kind, caught.value.losses[0].resume) == ("BEYOND_END", 5)


def test_end_that_never_comes(cluster: Cluster) -> None:
    """An end past the end of the log is waited for until the timeout, then a loss: the records were there once."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 5)
    began = time.monotonic()
    with pytest.raises(DataLossError, match="BEYOND_END"):
        cluster.read(topic, 2, 8, patience=2)
    assert 2 <= time.monotonic() - began < PATIENCE


def test_end_that_comes_late(cluster: Cluster) -> None:
    """A leader that has not caught up yet is not a loss: the range is read once it has (K9)."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 5)
    late = threading.Timer(2.5, cluster.write, (topic, [b"v"] * 3))
    late.start()
    assert cluster.offsets(topic, 2, 8) == list(range(2, 8))
    late.join()


def test_deleted_topic(cluster: Cluster) -> None:
    """A topic that is gone is named as such, also to a consumer that knew it."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 5)
    assert cluster.offsets(topic, 0, 2) == [0, 1]
    cluster.delete(topic)
    with pytest.raises(DataLossError) as caught:
        cluster.read(topic, 2, 5)
    assert (caught.value.losses[0].kind, caught.value.losses[0].partition) == ("TOPIC_MISSING", -1)


def test_recreated_topic(cluster: Cluster) -> None:
    """A topic created again with fewer records is a loss; to a kept consumer too, which then is not kept (K7)."""
    topic = cluster.topic()
    cluster.write(topic, [b"old"] * 10)
    assert cluster.offsets(topic, 0, 5) == list(range(5))
    cluster.delete(topic)
    cluster.topic(topic)
    cluster.write(topic, [b"new"] * 3)
    with pytest.raises(DataLossError, match="BEYOND_END"):
        cluster.read(topic, 5, 10)
    assert [m.value() for m in cluster.read(topic, 0, 3)] == [b"new"] * 3


def test_missing_partition(cluster: Cluster) -> None:
    """A partition that the topic does not have is a loss, not a wait without end."""
    topic = cluster.topic()
    with pytest.raises(DataLossError) as caught:
        list(read_range(cluster.client, OffsetRange(topic, 3, 0, 1), PATIENCE))
    assert (caught.value.losses[0].kind, caught.value.losses[0].partition) == ("VANISHED", 3)


def test_consumer_is_kept(cluster: Cluster, opened: list[Any]) -> None:
    """A range that was read to its end leaves its consumer for the next one, which starts where it is told: the
    position of the earlier range is never taken for its own."""
    topic = cluster.topic()
    cluster.write(topic, [b"%d" % n for n in range(300)])
    for begin in [0, 0, 200, 100, 0, 250, 3] * 5:
        assert cluster.offsets(topic, begin, begin + 50) == list(range(begin, begin + 50))
    assert len(opened) == 1


def test_kept_consumer_meets_a_new_topic(cluster: Cluster) -> None:
    """A topic that is new to a kept consumer is read at once: librdkafka alone would take a second to see it."""
    topics = [cluster.topic() for _ in range(5)]
    times = []
    for topic in topics:
        cluster.write(topic, [b"v"] * 10)
        began = time.monotonic()
        assert cluster.offsets(topic, 0, 10) == list(range(10))
        times.append(time.monotonic() - began)
    assert min(times) < 0.5


@pytest.mark.parametrize("failing", ["fetch.first", "fetch.mid", "fetch.end"])
def test_new_attempt_gets_a_new_consumer(cluster: Cluster, opened: list[Any], failing: str) -> None:
    """After a failure at any point the next attempt starts clean and reads the whole range (K16)."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 100)

    def fail(name: str) -> None:
        if name == failing:
            raise RuntimeError(name)

    failpoints.arm(fail)
    with pytest.raises(RuntimeError):
        cluster.read(topic, 0, 100)
    failpoints.arm(None)
    assert cluster.offsets(topic, 0, 100) == list(range(100))
    assert len(opened) == 2


def test_abandoned_range(cluster: Cluster, opened: list[Any]) -> None:
    """A caller that stops early leaves no consumer in the middle of a range."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 100)
    chunks = read_range(cluster.client, OffsetRange(topic, 0, 0, 100), PATIENCE)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert cluster.offsets(topic, 0, 10) == list(range(10))
    assert len(opened) == 2


def test_two_ranges_at_once(cluster: Cluster) -> None:
    """Two ranges read in turns by one process do not share a consumer."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 25_000)
    ranges = [OffsetRange(topic, 0, 0, 25_000), OffsetRange(topic, 0, 100, 25_000)]
    both = [read_range(cluster.client, range_, PATIENCE) for range_ in ranges]
    first = next(both[0])
    second = next(both[1])
    rest = [[m.offset() for chunk in reader for m in chunk] for reader in both]
    assert [m.offset() for m in first] + rest[0] == list(range(25_000))
    assert [m.offset() for m in second] + rest[1] == list(range(100, 25_000))


@ONE_IN_PLAIN
def test_broker_restart(cluster: Cluster, kafka: Kafka) -> None:
    """kill -9 of the broker in mid-range, and its restart, cost time but no record and double none."""
    topic = cluster.topic()
    count = 80_000  # more than librdkafka queues ahead
    cluster.write(topic, [b"%d" % n + b"x" * 180 for n in range(count)])
    chunks = read_range(cluster.client, OffsetRange(topic, 0, 0, count), 60)
    seen = [m.offset() for m in next(chunks)]
    kafka.broker.kill()
    restart = threading.Thread(target=kafka.broker.restart)
    restart.start()
    seen += [m.offset() for chunk in chunks for m in chunk]
    restart.join()
    assert seen == list(range(count))


@ONE_IN_PLAIN
def test_silent_broker(cluster: Cluster, kafka: Kafka) -> None:
    """A broker that does not answer ends the wait at the timeout, naming partition, position and end."""
    topic = cluster.topic()
    cluster.write(topic, [b"v"] * 5)
    assert cluster.offsets(topic, 0, 2) == [0, 1]
    kafka.broker.stop()
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        cluster.read(topic, 2, 5, patience=2)
    assert time.monotonic() - began < PATIENCE
    assert f"{topic}-0 offset 2 of [2,5)" in str(caught.value)
    kafka.broker.cont()


def test_damaged_batch(cluster: Cluster, kafka: Kafka) -> None:
    """A batch whose checksum is wrong fails the range: it is not skipped (K15)."""
    topic = cluster.topic()
    for n in range(3):
        cluster.write(topic, [b"payload-%d" % n])
    segment = kafka.folder / "data" / f"{topic}-0" / f"{0:020d}.log"
    with segment.open("r+b") as log:
        at = log.read().index(b"payload-1")
        log.seek(at)
        log.write(b"P")
    with pytest.raises(StreamError, match=r"cannot read .* at offset 1"):
        cluster.read(topic, 0, 3)
