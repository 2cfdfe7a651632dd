"""KafkaUtils on real Kafka and Spark: what a program for PySpark 2.4 sees, asserted against literals."""

from __future__ import annotations

import json
import operator
import os
import re
import signal
import subprocess
import sys
import textwrap
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from demonstration.launches import ROOT
from py4j.protocol import Py4JJavaError
from pyspark import RDD, SparkConf, SparkContext
from pyspark.streaming import DStream, StreamingContext

from offsets.errors import BatchError, ConfigError, DataLossError
from offsets.rate import Rates
from servers.daemon import wait_for
from servers.kafka_server import Kafka
from streaming import kafka_utils
from streaming.kafka_utils import KafkaUtils, OffsetRange, TopicAndPartition, current_position, current_range
from tests.integration.jobs import SECONDS, Topics

GUIDE = (ROOT / "streaming" / "GUIDE.rst").read_text(encoding="utf-8")
Pair = tuple[str | None, str | None]
INTERVAL = 0.5
FIRST: list[Pair] = [("a", "0"), ("b", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("b", "5")]
SECOND: list[Pair] = [("a", "10"), ("b", "11"), ("c", None)]


@pytest.fixture(scope="module")
def sc(java_home: Path) -> Iterator[SparkContext]:
    """Two records a batch of each partition, at most."""
    conf = SparkConf().setMaster("local[2]").setAppName("kafka-utils").set("spark.ui.enabled", "false")
    conf.set("spark.streaming.kafka.maxRatePerPartition", str(round(2 / INTERVAL)))
    conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
    interrupted = signal.getsignal(signal.SIGINT)  # SparkContext takes it for itself, and keeps it
    context = SparkContext(conf=conf)
    yield context
    context.stop()
    signal.signal(signal.SIGINT, interrupted)
    end_jvm()


def end_jvm() -> None:
    """pyspark itself keeps it until the process ends."""
    gateway = SparkContext._gateway
    SparkContext._gateway = SparkContext._jvm = None
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(30)


@pytest.fixture
def ssc(sc: SparkContext) -> Iterator[StreamingContext]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        context = StreamingContext(sc, INTERVAL)  # type: ignore[arg-type]
    yield context
    context.stop(stopSparkContext=False, stopGraceFully=False)


def produce(kafka: Kafka, topic: str, *partitions: Sequence[Pair]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for partition, records in enumerate(partitions):
        for key, value in records:
            producer.produce(topic, value, key, partition)
    assert producer.flush(60) == 0


class Seen:
    """What outputs were given, batch by batch."""

    def __init__(self) -> None:
        self.batches: dict[str, list[Any]] = defaultdict(list)

    def collect(self, name: str, stream: DStream[Any]) -> None:
        """The sorted elements of each batch of `stream`."""
        seen = self.batches[name]
        stream.foreachRDD(lambda rdd: seen.append(sorted(rdd.collect(), key=repr)))

    def first(self, ssc: StreamingContext, number: int) -> dict[str, list[Any]]:
        """Waits for so many batches of each output; raises what an output has raised."""

        def there() -> bool:
            ssc.awaitTerminationOrTimeout(0)
            return all(len(of) >= number for of in self.batches.values())

        wait_for(there, SECONDS, f"{number} batches")
        return {name: of[:number] for name, of in self.batches.items()}


def spans(rdd: RDD[Any]) -> list[tuple[int, int, int]]:
    """Its offset ranges, without the topic."""
    return [(r.partition, r.fromOffset, r.untilOffset) for r in rdd.offsetRanges()]  # type: ignore[attr-defined]


def why(rdd: RDD[Any]) -> str:
    """Why it has no offset ranges, up to the operation's name."""
    with pytest.raises(BatchError, match="no offset ranges: ") as e:
        rdd.offsetRanges()  # type: ignore[attr-defined]
    return str(e.value).partition(" after ")[2].partition("; take them")[0]


def test_operations(kafka: Kafka, topics: Topics, sc: SparkContext, ssc: StreamingContext, tmp_path: Path) -> None:
    """DStream's operations on a direct stream, and queueStream beside it, each batch as it must be.

    All outputs see the same batches: each is planned once.
    """
    topic = topics.create(2)
    produce(kafka, topic, FIRST, SECOND)
    params = {"metadata.broker.list": kafka.bootstrap, "auto.offset.reset": "smallest"}
    ssc.checkpoint(str(tmp_path / "checkpoint"))  # the inverse function needs one, and so everything must pickle
    seen, window = Seen(), 2 * INTERVAL
    ranges: dict[str, list[Any]] = defaultdict(list)

    def first_transform(rdd: RDD[Any]) -> RDD[Any]:
        ranges["transform"].append(spans(rdd))
        return rdd.map(lambda kv: kv[0])

    def output(time: datetime, rdd: RDD[Any]) -> None:
        ranges["output"].append(spans(rdd.map(lambda kv: kv).filter(bool).cache().mapPartitions(list)))
        ranges["lost"].append({why(rdd.groupByKey(1)), why(rdd.union(rdd)), why(rdd.coalesce(1)), why(rdd.zip(rdd))})
        seen.batches["all"].append(rdd.collect())

    seen.batches["all"]
    stream = KafkaUtils.createDirectStream(ssc, [topic], params)
    pairs = stream.filter(lambda kv: kv[1] is not None).map(lambda kv: (kv[0], int(kv[1])))
    beside = [sc.parallelize([("a", "w")]), sc.parallelize([("a", "x"), ("d", "y")])]
    stream.foreachRDD(output)
    pairs.foreachRDD(lambda rdd: ranges["narrow"].append(spans(rdd)))
    stream.window(window).foreachRDD(lambda rdd: ranges["window"].append(why(rdd)))
    seen.collect("pairs", pairs)
    seen.collect("transform", stream.transform(first_transform))
    seen.collect("window", pairs.map(lambda kv: kv[1]).window(window))
    seen.collect("count", stream.window(window, window).count())
    seen.collect("union", stream.union(ssc.queueStream([sc.parallelize([("q", "0")])], default=sc.emptyRDD())))
    seen.collect("join", pairs.join(ssc.queueStream(beside, default=sc.emptyRDD()), 1))
    seen.collect("reduce", pairs.reduceByKeyAndWindow(operator.add, None, window, INTERVAL, 1))
    seen.collect(
        "inverse", pairs.reduceByKeyAndWindow(operator.add, operator.sub, window, INTERVAL, 1, lambda kv: kv[1])
    )
    ssc.start()
    found = seen.first(ssc, 5)

    assert found["all"] == [
        [("a", "0"), ("b", "1"), ("a", "10"), ("b", "11")],
        [("a", "2"), ("b", "3"), ("c", None)],
        [("a", "4"), ("b", "5")],
        [],
        [],
    ]
    assert found["pairs"] == [
        [("a", 0), ("a", 10), ("b", 1), ("b", 11)],
        [("a", 2), ("b", 3)],
        [("a", 4), ("b", 5)],
        [],
        [],
    ]
    assert found["transform"] == [["a", "a", "b", "b"], ["a", "b", "c"], ["a", "b"], [], []]
    assert found["window"] == [[0, 1, 10, 11], [0, 1, 10, 11, 2, 3], [2, 3, 4, 5], [4, 5], []]
    assert found["count"] == [[7], [2], [0], [0], [0]]
    assert found["union"] == [
        [("a", "0"), ("a", "10"), ("b", "1"), ("b", "11"), ("q", "0")],
        [("a", "2"), ("b", "3"), ("c", None)],
        [("a", "4"), ("b", "5")],
        [],
        [],
    ]
    assert found["join"] == [[("a", (0, "w")), ("a", (10, "w"))], [("a", (2, "x"))], [], [], []]
    sums = [[("a", 10), ("b", 12)], [("a", 12), ("b", 15)], [("a", 6), ("b", 8)], [("a", 4), ("b", 5)], []]
    assert found["reduce"] == found["inverse"] == sums

    planned = [[(0, 0, 2), (1, 0, 2)], [(0, 2, 4), (1, 2, 3)], [(0, 4, 6), (1, 3, 3)], *[[(0, 6, 6), (1, 3, 3)]] * 2]
    assert ranges["transform"][:5] == ranges["output"][:5] == ranges["narrow"][:5] == planned
    shuffle = "a shuffle (reduceByKey, groupByKey, join, partitionBy, repartition, sortBy, ...)"
    assert ranges["lost"][:5] == [{shuffle, "union() or window()", "coalesce() or repartition()", "zip()"}] * 5
    assert set(ranges["window"]) == {"union() or window()"}


def test_rdds_and_refusals(kafka: Kafka, topics: Topics, sc: SparkContext, ssc: StreamingContext) -> None:
    """createRDD reads exactly its ranges, tasks know where they are; what is not there is refused at once, by name."""
    topic = topics.create(2)
    produce(kafka, topic, FIRST, SECOND)
    params = {"bootstrap.servers": kafka.bootstrap}
    asked = [OffsetRange(topic, 0, 1, 4), OffsetRange(topic, 1, 3, 3), OffsetRange(topic, 1, 0, 2)]
    rdd = KafkaUtils.createRDD(sc, params, asked, leaders={})
    assert rdd.collect() == [("b", "1"), ("a", "2"), ("b", "3"), ("a", "10"), ("b", "11")]
    assert rdd.offsetRanges() == rdd.map(repr).offsetRanges() == asked  # type: ignore[attr-defined]

    handled = KafkaUtils.createRDD(
        sc, params, asked, None, bytes.upper, lambda value: value + b"!", lambda m: (m, m.offset, m.key, m.message)
    )
    message, *rest = handled.cache().first()
    assert rest == [1, b"B", b"1!"]
    assert (message.topic, message.partition, message.offset) == (topic, 0, 1)
    assert (message.key, message.message) == (b"B", b"1!"), "decoded once, wherever it is looked at"

    def told(elements: Iterator[Any]) -> Iterator[Any]:
        places = [(current_range(), current_position())]
        for _ in elements:
            places.append(current_position())
        yield [*places, current_position()]

    assert rdd.mapPartitions(told).collect() == [
        [(asked[0], 1), 2, 3, 4, 4],
        [(asked[1], 3), 3],
        [(asked[2], 0), 1, 2, 2],
    ]
    with pytest.raises(Py4JJavaError, match="no range of Kafka is being read here"):
        rdd.repartition(1).map(lambda _: current_range()).collect()

    direct = partial(KafkaUtils.createDirectStream, ssc)
    with pytest.raises(TypeError, match="topics should be list"):
        direct(topic, params)
    with pytest.raises(TypeError, match="kafkaParams should be dict"):
        direct([topic], kafka.bootstrap)
    with pytest.raises(TypeError, match="offsetRanges should be list"):
        KafkaUtils.createRDD(sc, params, tuple(asked))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"topic {topic}s does not exist; did you mean {topic}"):
        direct([f"{topic}s"], params)
    with pytest.raises(ConfigError, match=rf"{topic}-0 offset 7 is outside \[0,6\]"):
        direct([topic], params, {TopicAndPartition(topic, 0): 7, TopicAndPartition(topic, 1): 0})
    with pytest.raises(ConfigError, match=f"fromOffsets: partition {topic}-2 does not exist"):
        direct([topic], params, {TopicAndPartition(topic, 2): 0})
    topics.truncate(topic, 0, 2)
    with pytest.raises(DataLossError, match=rf"EXPIRED {topic}-0 \[1,2\).*BEYOND_END {topic}-1 \[3,9\)"):
        KafkaUtils.createRDD(sc, params, [*asked[:1], OffsetRange(topic, 1, 0, 9)])
    with pytest.raises(ConfigError, match=f"partition {topic}-5 does not exist.*{topic}s does not exist; did you mean"):
        KafkaUtils.createRDD(sc, params, [OffsetRange(topic, 5, 0, 1), OffsetRange(f"{topic}s", 0, 0, 1)])
    with pytest.raises(Py4JJavaError, match=rf"EXPIRED {topic}-0 \[1,2\)"):
        rdd.collect()


def test_loss_in_mid_stream(kafka: Kafka, topics: Topics, ssc: StreamingContext) -> None:
    """What Kafka loses ahead of a stream ends it: awaitTermination says what, nothing is skipped, no batch follows."""
    topic = topics.create(1)
    produce(kafka, topic, [(None, str(n)) for n in range(1000)])
    stream = KafkaUtils.createDirectStream(
        ssc, [topic], {"bootstrap.servers": kafka.bootstrap}, {TopicAndPartition(topic, 0): 3}, valueDecoder=int
    )
    seen: list[tuple[str, int]] = []
    stream.foreachRDD(lambda rdd: seen.extend(rdd.collect()))
    ssc.start()
    wait_for(lambda: len(seen) > 2, SECONDS, "a batch")
    topics.truncate(topic, 0, 900)
    with pytest.raises(Py4JJavaError, match=rf"data loss: EXPIRED {topic}-0 \[\d+,\d+\)"):
        ssc.awaitTerminationOrTimeout(SECONDS)
    values = [value for _, value in seen]
    assert values == list(range(3, 3 + len(values))), "up to the loss, each once and in order"
    assert values[-1] < 900, "nothing behind it"


@pytest.mark.full
def test_failed_batch(kafka: Kafka, topics: Topics, ssc: StreamingContext) -> None:
    """What comes after a batch that has failed is not processed as if it had not."""
    topic = topics.create(1)
    produce(kafka, topic, [(None, str(n)) for n in range(1000)])
    params = {"bootstrap.servers": kafka.bootstrap, "auto.offset.reset": "earliest"}
    seen: list[str] = []

    def output(rdd: RDD[Any]) -> None:
        values = rdd.values().collect()
        if "4" in values:
            raise RuntimeError("this output has failed")
        seen.extend(values)

    KafkaUtils.createDirectStream(ssc, [topic], params).foreachRDD(output)
    ssc.start()
    with pytest.raises(Py4JJavaError, match="this output has failed"):
        ssc.awaitTerminationOrTimeout(SECONDS)

    def told() -> bool:
        with pytest.raises(Py4JJavaError, match="this output has failed") as e:
            ssc.awaitTerminationOrTimeout(0)
        return "no batch is planned after one that has failed: RuntimeError: this output has failed" in str(e.value)

    wait_for(told, SECONDS, "a plan after it to be refused")


@pytest.mark.full
def test_backpressure(kafka: Kafka, topics: Topics, ssc: StreamingContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batches are of the initial rate, later ones of what processing is measured to be capable of."""
    monkeypatch.setattr(kafka_utils, "read_rates", lambda _: Rates(backpressure=True, initial=20))
    topic = topics.create(1)
    produce(kafka, topic, [(None, str(n)) for n in range(5000)])
    params = {"bootstrap.servers": kafka.bootstrap, "auto.offset.reset": "earliest"}
    sizes: list[int] = []
    KafkaUtils.createDirectStream(ssc, [topic], params).foreachRDD(lambda rdd: sizes.append(rdd.count()))
    ssc.start()
    wait_for(lambda: bool(sizes) and sizes[-1] >= 100 * INTERVAL, SECONDS, "a batch of at least Spark's minRate")
    assert sizes[0] == 20 * INTERVAL


@pytest.mark.full
def test_cached_stream(kafka: Kafka, topics: Topics, sc: SparkContext, ssc: StreamingContext) -> None:
    """What several outputs need is read once if it is cached, and is still known by its ranges."""
    topic = topics.create(2)
    produce(kafka, topic, FIRST, SECOND)
    read = sc.accumulator(0)

    def decode(value: bytes) -> bytes:
        read.add(1)
        return value

    begin = {TopicAndPartition(topic, 0): 1}
    stream = KafkaUtils.createDirectStream(ssc, [topic], {"bootstrap.servers": kafka.bootstrap}, begin, str, decode)
    stream.cache()
    other = KafkaUtils.createDirectStream(
        ssc, [topic], {"bootstrap.servers": kafka.bootstrap}, {TopicAndPartition(topic, 1): 2}
    )
    both: list[Any] = []
    stream.union(other).foreachRDD(lambda rdd: both.append(rdd.keys().collect()))
    seen: list[tuple[datetime, int, Any]] = []
    stream.foreachRDD(lambda time, rdd: seen.append((time, rdd.count(), spans(rdd))))
    stream.transform(lambda time, rdd: rdd.map(repr)).foreachRDD(
        lambda time, rdd: seen.append((time, rdd.count(), spans(rdd)))
    )
    ssc.start()
    wait_for(lambda: len(seen) >= 8, SECONDS, "four batches")
    assert [found[1:] for found in seen[:8:2]] == [
        (2, [(0, 1, 3)]),
        (2, [(0, 3, 5)]),
        (1, [(0, 5, 6)]),
        (0, [(0, 6, 6)]),
    ]
    assert seen[:8:2] == seen[1:8:2]
    assert both[:3] == [["b'b'", "b'a'", "c"], ["b'b'", "b'a'"], ["b'b'"]]
    assert read.value == 5


@pytest.mark.full
@pytest.mark.parametrize("spark", ["newest", "3.5"])
def test_program_of_the_guide(
    kafka: Kafka, topics: Topics, java_home: Path, tmp_path: Path, spark: str, request: pytest.FixtureRequest
) -> None:
    """The guide's program, as printed but for brokers, topic and interval, tells what it read; on either Spark."""
    python = sys.executable if spark == "newest" else str(request.getfixturevalue("pyspark35"))
    (printed,) = re.findall(r"\nKafkaUtils\n-+\n.*?code-block:: python\n\n((?:    [^\n]*\n|\n)+)", GUIDE, re.S)
    program, log, topic = tmp_path / "words.py", tmp_path / "log", topics.create(1)
    program.write_text(
        textwrap.dedent(printed)
        .replace("broker1:9092,broker2:9092", kafka.bootstrap)
        .replace('SparkContext(appName="words")', 'SparkContext("local[2]", "words")')
        .replace("(sc, 5)", "(sc, 1)")
        .replace('["words"]', f'["{topic}"]')
    )
    produce(kafka, topic, [(None, "to"), (None, "be"), (None, "to")])
    environ = {**os.environ, "PYSPARK_PYTHON": python}
    with log.open("wb") as out, (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen([python, "-u", str(program)], stdout=out, stderr=err, cwd=tmp_path, env=environ)
    try:
        wanted = f"{topic} 0 0 3\n[('be', 1), ('to', 2)]\n{topic} 0 3 3\n[]\n"
        wait_for(lambda: wanted in log.read_text() or process.poll() is not None, SECONDS, "two batches")
        assert process.poll() is None, (tmp_path / "err").read_text()
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.mark.full
def test_replaced_topic(kafka: Kafka, topics: Topics, ssc: StreamingContext) -> None:
    """A topic that was deleted and created again is another one, also if its log is as long."""
    topic = topics.create(1)
    produce(kafka, topic, [(None, str(n)) for n in range(4)])
    params = {"bootstrap.servers": kafka.bootstrap, "auto.offset.reset": "earliest"}
    seen: list[str] = []
    KafkaUtils.createDirectStream(ssc, [topic], params).foreachRDD(lambda rdd: seen.extend(rdd.values().collect()))
    ssc.start()
    wait_for(lambda: len(seen) == 4, SECONDS, "the records")
    topics.delete(topic)
    topics.create(1, topic)
    produce(kafka, topic, [(None, "other")] * 9)
    with pytest.raises(Py4JJavaError, match=f"data loss: (REPLACED|TOPIC_MISSING) {topic}"):
        ssc.awaitTerminationOrTimeout(SECONDS)
    assert "other" not in seen


@pytest.mark.full
def test_program_of_2_4(kafka: Kafka, topics: Topics, java_home: Path, executor_python: Path, tmp_path: Path) -> None:
    """With nothing but its import changed it runs, goes on where it ended, and executors get our code with it."""
    old = (Path(__file__).parent / "program_of_2_4.py").read_text()
    assert old.count("pyspark.streaming.kafka") == 1
    program, results = tmp_path / "program.py", tmp_path / "results"
    program.write_text(old.replace("pyspark.streaming.kafka", "streaming.kafka_utils"))
    topic = topics.create(2)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ["PYSPARK_PYTHON"] = str(executor_python)
    environ["PYSPARK_SUBMIT_ARGS"] = "--master local[2] --conf spark.ui.enabled=false pyspark-shell"

    def batches() -> list[dict[str, Any]]:
        return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []

    def run_until(offsets: list[int]) -> None:
        end = tmp_path / f"end-{sum(offsets)}"
        with (tmp_path / "log").open("ab") as log:
            command = [sys.executable, str(program), kafka.bootstrap, topic, str(results), str(end)]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=tmp_path)
        try:
            reached = lambda: bool(batches()) and [until for *_, until in batches()[-1]["offsets"]] == offsets  # noqa: E731
            wait_for(lambda: reached() or process.poll() is not None, SECONDS, f"batches up to {offsets}")
            end.touch()
            assert process.wait(SECONDS) == 0, (tmp_path / "log").read_text()
        finally:
            process.kill()
            process.wait()

    produce(kafka, topic, [(None, "to be"), (None, "or not")], [(None, "to be")])
    run_until([2, 1])
    produce(kafka, topic, [(None, "that is")], [(None, "the question")])
    run_until([3, 2])
    counts: Counter[str] = sum((Counter(batch["counts"]) for batch in batches()), Counter())
    assert counts == dict.fromkeys(("or", "not", "that", "is", "the", "question"), 1) | {"to": 2, "be": 2}
