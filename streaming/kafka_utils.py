"""Direct streams under the names of `pyspark.streaming.kafka`, which PySpark had from 1.3 to 2.4.

A program written for it changes its import, and needs neither a jar nor Spark 2::

    from streaming.kafka_utils import KafkaUtils, OffsetRange, TopicAndPartition

What differs: only committed records are read (read_committed), tombstones have the value None, and a topic's new
partitions are read too.  Nothing is skipped: a topic, partition or offset that is not there is an error where the
stream is made, and what Kafka loses or replaces later is one that `ssc.awaitTermination()` raises, naming topic,
partition and offsets.  After a batch that has failed none is planned any more.

A stream begins where it is told and keeps no offsets: a program that is to go on where it ended keeps them with its
results (`rdd.offsetRanges()`), and begins with `fromOffsets`.  For streams that must do so by themselves, exactly once,
write a job (README).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pyspark import SparkContext
from pyspark.streaming import StreamingContext

from offsets import structs
from offsets.errors import BatchError
from offsets.rate import Limits
from streaming.direct.backpressure import BatchTimes
from streaming.direct.dstream import KafkaDStream, direct_stream
from streaming.direct.params import Params, read_params, read_rates
from streaming.direct.positions import Positions, beginning, refuse_unreadable, subscription
from streaming.direct.rdd import KafkaRDD, kafka_rdd
from streaming.direct.reading import ReadTask, current_position, current_range
from streaming.direct.values import (
    Broker,
    Decoder,
    KafkaMessageAndMetadata,
    OffsetRange,
    TopicAndPartition,
    elements,
    utf8_decoder,
)
from streaming.fetching.source import LIBRDKAFKA, Client
from streaming.source import broker as kafka
from streaming.source.planner import Planner
from streaming.spark.shipping import ARCHIVE, ship_ours
from streaming.tasks.errors import summary

__all__ = [
    "Broker",
    "KafkaDStream",
    "KafkaMessageAndMetadata",
    "KafkaRDD",
    "KafkaUtils",
    "OffsetRange",
    "TopicAndPartition",
    "current_position",
    "current_range",
    "utf8_decoder",
]

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 30.0  # for any answer of Kafka's to the driver
MessageHandler = Callable[[KafkaMessageAndMetadata], Any]


class KafkaUtils:
    """Direct streams and RDDs of Kafka's records."""

    @staticmethod
    def createDirectStream(
        ssc: StreamingContext,
        topics: list[str],
        kafkaParams: Mapping[str, Any],
        fromOffsets: Mapping[TopicAndPartition, int] | None = None,
        keyDecoder: Decoder = utf8_decoder,
        valueDecoder: Decoder = utf8_decoder,
        messageHandler: MessageHandler | None = None,
    ) -> KafkaDStream[Any]:
        """A stream of `(key, value)`, decoded, or of what `messageHandler` makes of a KafkaMessageAndMetadata.

        `kafkaParams`: `metadata.broker.list` or `bootstrap.servers`; `auto.offset.reset`, where to begin without
        `fromOffsets`: smallest (earliest) or largest (latest, the default), as the log is now; other properties of
        librdkafka.  `fromOffsets`: the next offset of every partition that is to be read; others are not.  Each batch
        has one partition for every partition of Kafka's, also where there is nothing new, and holds at most
        `spark.streaming.kafka.maxRatePerPartition` records a second of each; `spark.streaming.backpressure.*` too is
        as in Spark.

        Raises TypeError, ConfigError with every mistake, and UnavailableError if Kafka does not answer.
        """
        _check(topics, list, "topics")
        _check(kafkaParams, dict, "kafkaParams")
        params, sc = _told(kafkaParams), ssc.sparkContext
        begin = _from_offsets(fromOffsets or {})
        rates, reads = read_rates(sc.getConf().getAll()), subscription(topics, begin)
        broker = kafka.Broker(params.properties, DEADLINE_SECONDS)
        first = beginning(broker, reads, params.start, begin)
        limits = Limits(rates=rates, seconds=_seconds(ssc))
        planner = Planner(broker, reads, limits)
        if rates.backpressure:
            ssc.addStreamingListener(BatchTimes(planner))
        positions = Positions(planner, first, lambda: _raise_failed(ssc))
        _ship_once(sc)
        return direct_stream(ssc, positions.next, _task(params, elements(keyDecoder, valueDecoder, messageHandler)))

    @staticmethod
    def createRDD(
        sc: SparkContext,
        kafkaParams: Mapping[str, Any],
        offsetRanges: list[OffsetRange],
        leaders: Mapping[TopicAndPartition, Broker] | None = None,
        keyDecoder: Decoder = utf8_decoder,
        valueDecoder: Decoder = utf8_decoder,
        messageHandler: MessageHandler | None = None,
    ) -> KafkaRDD[Any]:
        """The records of `offsetRanges`, one partition a range, as the elements of `createDirectStream`.

        `leaders` has no use any more: the client finds them.  Raises TypeError, ConfigError with every topic and
        partition that is not there, DataLossError with every offset that is not in the log, UnavailableError.
        """
        _check(kafkaParams, dict, "kafkaParams")
        _check(offsetRanges, list, "offsetRanges")
        params = _told(kafkaParams)
        with closing(kafka.Broker(params.properties, DEADLINE_SECONDS)) as broker:
            snapshot = broker.snapshot(sorted({r.topic for r in offsetRanges})) if offsetRanges else {}
            missing = {r.topic for r in offsetRanges} - snapshot.keys()
            refuse_unreadable(offsetRanges, snapshot, broker.existing_topics() if missing else ())
        _ship_once(sc)
        ranges = sc.parallelize([structs.OffsetRange(*r) for r in offsetRanges], len(offsetRanges) or 1)
        return kafka_rdd(ranges, offsetRanges, _task(params, elements(keyDecoder, valueDecoder, messageHandler)))


def _check(value: object, wanted: type, name: str) -> None:
    if not isinstance(value, wanted):
        raise TypeError(f"{name} should be {wanted.__name__}")


def _told(kafka_params: Mapping[str, Any]) -> Params:
    params = read_params(kafka_params)
    for name, why in params.unused.items():
        log.warning("kafkaParams: %s has no effect: %s", name, why)
    return params


def _from_offsets(given: Mapping[Any, int]) -> dict[structs.TopicPartition, int]:
    try:
        return {structs.TopicPartition(str(topic), int(partition)): int(o) for (topic, partition), o in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise TypeError("fromOffsets should be dict of TopicAndPartition to int") from None


def _task(params: Params, make: Callable[[Any], Any]) -> ReadTask[Any]:
    return ReadTask(Client(LIBRDKAFKA, params.properties), make)


def _seconds(ssc: StreamingContext) -> float:
    milliseconds: int = ssc._jssc.ssc().graph().batchDuration().milliseconds()
    return milliseconds / 1000


def _raise_failed(ssc: StreamingContext) -> None:
    """Raises BatchError if a batch has failed that Spark has told of."""
    try:
        ssc._jssc.awaitTerminationOrTimeout(0)
    except Exception as e:
        raise BatchError(f"no batch is planned after one that has failed: {summary(str(e))}") from e


def _ship_once(sc: SparkContext) -> None:
    root, shipped = Path(__file__).resolve().parents[1], sc._python_includes or ()
    if ARCHIVE not in shipped and root.is_dir():
        ship_ours(sc, root, Path(sc._temp_dir))  # it has one as long as it runs
