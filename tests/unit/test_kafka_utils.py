"""What is decided without Spark or Kafka for KafkaUtils: parameters, positions, ranges, what batches are remembered."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from offsets.backpressure import Measured
from offsets.errors import BatchError, ConfigError, DataLossError, StreamError
from offsets.planning import Plan, plan
from offsets.rate import Limits, Rates
from offsets.snapshot import TopicSnapshot
from offsets.structs import OffsetRange as Range
from offsets.structs import TopicPartition, TopicState
from streaming.direct.backpressure import BatchTimes
from streaming.direct.dstream import Batches, _arguments
from streaming.direct.params import read_params, read_rates
from streaming.direct.positions import Positions, beginning, refuse_unreadable, subscription
from streaming.direct.reading import current_range
from streaming.direct.values import KafkaMessageAndMetadata, OffsetRange, TopicAndPartition, utf8_decoder
from streaming.spark.direct import PlannedRanges, _RangesAt

NOW = datetime(2026, 11, 21, 12, 0, 0)
SERVERS = {"metadata.broker.list": "b:9092"}


def test_parameters_of_an_old_program() -> None:
    """2.4's names are understood, what had no effect then is named, and librdkafka's own are passed on."""
    old = {"zookeeper.connect": "z:2181", "auto.commit.enable": "true", "fetch.message.max.bytes": 1048576}
    found = read_params(
        {**SERVERS, **old, "group.id": "g", "auto.offset.reset": "Smallest", "socket.keepalive.enable": True}
    )
    assert found.properties == {
        "bootstrap.servers": "b:9092",
        "group.id": "g",
        "fetch.message.max.bytes": "1048576",
        "socket.keepalive.enable": "true",
    }
    assert found.start == "earliest"
    assert dict(found.unused) == {
        "auto.commit.enable": "a direct stream commits nothing",
        "zookeeper.connect": "brokers are asked, not ZooKeeper",
    }


@pytest.mark.parametrize(
    ("word", "start"), [("largest", "latest"), ("latest", "latest"), ("earliest", "earliest"), (None, "latest")]
)
def test_where_a_stream_begins(word: str | None, start: str) -> None:
    """Without a word, at the end, as in 2.4."""
    assert read_params(SERVERS if word is None else {**SERVERS, "auto.offset.reset": word}).start == start


def test_every_mistake_in_parameters_at_once() -> None:
    """Each is told by name, never by value."""
    given = {
        "auto.offset.reset": "smalest",
        "isolation.level": "read_uncommitted",
        "fetch.mesage.max.bytes": "1",
        "key.deserializer": "S3cret",
        "sasl.password": ["S3cret"],
    }
    with pytest.raises(ConfigError) as e:
        read_params(given)
    assert [problem.split(": ")[1] for problem in e.value.problems] == [
        "sasl.password",
        "metadata.broker.list or bootstrap.servers",
        "auto.offset.reset",
        "fetch.mesage.max.bytes",
        "isolation.level",
        "key.deserializer",
    ]
    assert "did you mean smallest" in str(e.value)
    assert "S3cret" not in str(e.value)


def test_two_names_for_other_brokers() -> None:
    """Which of them is meant is not guessed; the same twice is."""
    assert read_params({**SERVERS, "bootstrap.servers": "b:9092"}).properties["bootstrap.servers"] == "b:9092"
    with pytest.raises(ConfigError, match="name different brokers"):
        read_params({**SERVERS, "bootstrap.servers": "c:9092"})


def test_rates_of_a_spark_conf(caplog: pytest.LogCaptureFixture) -> None:
    """Spark's names; what is misspelt or has no effect is told."""
    prefix = "spark.streaming.kafka."
    with caplog.at_level(logging.WARNING):
        found = read_rates(
            [(prefix + "maxRatePerPartition", "7"), (prefix + "maxRetries", "1"), ("spark.ui.port", "x")]
        )
    assert found == Rates(max_per_partition=7)
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == [prefix + "maxRetries"]
    with pytest.raises(ConfigError, match="minRatePerPartition = none"):
        read_rates([(prefix + "minRatePerPartition", "none")])


def test_ranges() -> None:
    """Scala's names; a value that is equal to ours, hashable and picklable."""
    range_ = OffsetRange(topic="t", partition=1, fromOffset=2, untilOffset=5)
    assert (range_.fromOffset, range_.untilOffset, range_.count()) == (2, 5, 3)
    assert range_.topicPartition() == TopicAndPartition("t", 1) == TopicPartition("t", 1)
    assert range_ == Range("t", 1, 2, 5)
    assert range_ != OffsetRange("t", 1, 2, 6)
    assert {range_: 1}[pickle.loads(pickle.dumps(range_))] == 1
    assert type(pickle.loads(pickle.dumps(range_))) is OffsetRange
    assert str(range_) == "t-1[2,5)"


def test_messages_decode_once() -> None:
    """What has crossed to another process is what the decoders made of it, and is not decoded again."""
    message = KafkaMessageAndMetadata("t", 0, 7, b"k", None, lambda key: key + b"!")
    for seen in (message, pickle.loads(pickle.dumps(message))):
        assert (seen.topic, seen.partition, seen.offset, seen.key, seen.message) == ("t", 0, 7, b"k!", None)
    assert utf8_decoder("é".encode()) == "é"


def snapshot(*partitions: tuple[int, int], topic: str = "t", id_: str = "id") -> dict[str, TopicSnapshot]:
    return {topic: TopicSnapshot(id_, dict(enumerate(partitions)))}


class Looks:
    """Plans from snapshots one after the other, as a Planner would."""

    def __init__(self, *looks: Mapping[str, TopicSnapshot]) -> None:
        self.looks = list(looks)

    def next(self, cursor: Mapping[str, TopicState]) -> Plan:
        return plan(cursor, self.looks.pop(0), Limits(total=4))


def positions(*looks: Mapping[str, TopicSnapshot], check: Any = lambda: None) -> Positions:
    return Positions(Looks(*looks), {"t": TopicState("id", {0: 0, 1: 0})}, check)


def test_each_batch_has_every_partition() -> None:
    """From where the last one ended, within the limits; an empty range where nothing is new; new partitions too."""
    found = positions(snapshot((0, 6), (0, 0)), snapshot((0, 6), (0, 1)), snapshot((0, 6), (0, 1), (0, 2)))
    assert found.next() == [Range("t", 0, 0, 4), Range("t", 1, 0, 0)]
    assert found.next() == [Range("t", 0, 4, 6), Range("t", 1, 0, 1)]
    assert found.next() == [Range("t", 0, 6, 6), Range("t", 1, 1, 1), Range("t", 2, 0, 2)]


@pytest.mark.parametrize(
    ("look", "told"),
    [(snapshot((3, 6), (0, 0)), r"EXPIRED t-0 \[0,3\)"), (snapshot((0, 6), (0, 0), id_="x"), "REPLACED t")],
)
def test_nothing_is_planned_after_a_loss(look: Mapping[str, TopicSnapshot], told: str) -> None:
    """Also if Kafka looks whole again: the same loss is told for ever."""
    found = positions(look, snapshot((0, 6), (0, 0)))
    with pytest.raises(DataLossError, match=told):
        found.next()
    for _ in range(2):
        with pytest.raises(BatchError, match=f"the stream has ended: data loss: {told}"):
            found.next()


def test_nothing_is_planned_after_a_failed_batch() -> None:
    """Asked before Kafka is, and remembered."""
    failures: list[StreamError] = []

    def check() -> None:
        if failures:
            raise failures.pop()

    found = positions(snapshot((0, 1), (0, 0)), check=check)
    found.next()
    failures.append(BatchError("a batch has failed"))
    for _ in range(2):
        with pytest.raises(BatchError, match="a batch has failed"):
            found.next()


def test_from_offsets_say_what_is_read() -> None:
    """Exactly the partitions that they name, of exactly the topics."""
    reads = subscription(["t"], {TopicPartition("t", 1): 5})
    assert reads.partitions("t") == {1}
    assert subscription(["t", "u", "t"], {}).topics((), tuple) == ("t", "u")
    with pytest.raises(ConfigError, match="fromOffsets is of topics t, and topics of t, u"):
        subscription(["t", "u"], {TopicPartition("t", 1): 5})
    with pytest.raises(ConfigError, match="topics names none"):
        subscription([], {})


class FakeBroker:
    def __init__(self, seen: Mapping[str, TopicSnapshot]) -> None:
        self.seen = seen

    def snapshot(self, topics: Any) -> dict[str, TopicSnapshot]:
        return {name: self.seen[name] for name in topics if name in self.seen}

    def existing_topics(self) -> list[str]:
        return list(self.seen)


def test_the_first_positions() -> None:
    """As told, or at the beginning or the end; what is not there is told at once, with the nearest name."""
    broker: Any = FakeBroker(snapshot((2, 5), (0, 3)))
    for start, wanted in (("earliest", {0: 2, 1: 0}), ("latest", {0: 5, 1: 3})):
        assert beginning(broker, subscription(["t"], {}), start, {})["t"].offsets == wanted
    told = {TopicPartition("t", 0): 4}
    assert beginning(broker, subscription(["t"], told), "latest", told)["t"].offsets == {0: 4}
    late = {TopicPartition("t", 0): 1, TopicPartition("t", 1): 4}
    with pytest.raises(ConfigError, match=r"fromOffsets: t-0 offset 1 is outside \[2,5\]; fromOffsets: t-1 offset 4"):
        beginning(broker, subscription(["t"], late), "latest", late)
    with pytest.raises(ConfigError, match=r"topics: topic tt does not exist; did you mean t\?"):
        beginning(broker, subscription(["tt"], {}), "latest", {})


@pytest.mark.parametrize(
    ("range_", "error", "told"),
    [
        (Range("t", 0, 1, 3), DataLossError, r"EXPIRED t-0 \[1,2\) \(of t-0\[1,3\): the log begins at 2\)"),
        (Range("t", 0, 3, 9), DataLossError, r"BEYOND_END t-0 \[5,9\)"),
        (Range("t", 0, 7, 9), DataLossError, r"BEYOND_END t-0 \[7,9\)"),
        (Range("t", 0, 4, 3), ConfigError, r"t-0\[4,3\) is no range"),
        (Range("t", 1, 0, 0), ConfigError, "partition t-1 does not exist: there are 1"),
        (Range("tt", 1, 0, 0), ConfigError, r"topic tt does not exist; did you mean t\?"),
    ],
)
def test_ranges_that_kafka_does_not_have(range_: Range, error: type[StreamError], told: str) -> None:
    """Refused before a task asks for them."""
    refuse_unreadable([Range("t", 0, 2, 5), Range("t", 0, 5, 5)], snapshot((2, 5)), ())
    with pytest.raises(error, match=told):
        refuse_unreadable([range_], snapshot((2, 5)), ["t"])


class FakeRdd:
    """A context, and an RDD of it."""

    def __init__(self, number: int) -> None:
        self.ctx = self._jrdd = self
        self.id = lambda: number


def test_batches_are_remembered_until_spark_forgets_them() -> None:
    """A job that is late, or a window, finds the ranges of its own batch; another run's are refused."""
    made, sc = iter([[Range("t", 0, n, n + 1)] for n in range(5)]), FakeRdd(0)
    batches: Any = Batches(sc, lambda: next(made))  # type: ignore[arg-type]
    times = [NOW + timedelta(seconds=n) for n in range(4)]
    kept = {batches.plan(time)[0].from_offset: time for time in times[:3]}
    for number, time in kept.items():
        assert batches.at(time, FakeRdd(number)) == [Range("t", 0, number, number + 1)]
    batches.is_kept = lambda ms: ms >= times[2].timestamp() * 1000
    batches.plan(times[3])
    assert batches.at(times[2], FakeRdd(2)) == [Range("t", 0, 2, 3)]
    with pytest.raises(BatchError, match="Spark has forgotten it"):
        batches.at(times[1], FakeRdd(1))


def test_what_backpressure_is_told() -> None:
    """Of each batch that is completed, what Spark itself has measured."""
    learned: list[Measured] = []
    planner = SimpleNamespace(learn=learned.append)
    times = {"processingEndTime": 9000, "numRecords": 7, "processingDelay": 300, "schedulingDelay": 20}
    info = SimpleNamespace(**{name: lambda value=value: value for name, value in times.items()})
    BatchTimes(planner).onBatchCompleted(SimpleNamespace(batchInfo=lambda: info))
    assert learned == [Measured(end_ms=9000, records=7, processing_ms=300, scheduling_ms=20)]


def test_a_checkpoint_holds_nothing_of_a_stream() -> None:
    """What is begun from one is refused and told why; the driver's own objects, and their secrets, are not in it."""
    unpicklable: Any = lambda *_: None  # noqa: E731
    found = pickle.loads(pickle.dumps(_RangesAt(unpicklable, PlannedRanges(unpicklable, unpicklable))))
    with pytest.raises(BatchError, match=r"cannot be recovered from a checkpoint.*fromOffsets"):
        found(NOW)


def test_functions_of_one_or_two_arguments() -> None:
    """As Spark tells them apart; a method's own object does not count."""
    assert _arguments(lambda rdd: rdd) == 1
    assert _arguments(lambda time, rdd: rdd) == 2
    assert _arguments(FakeBroker({}).snapshot) == 1


def test_no_range_outside_of_a_task() -> None:
    """Asked on the driver, it says so."""
    with pytest.raises(BatchError, match="no range of Kafka is being read here"):
        current_range()
