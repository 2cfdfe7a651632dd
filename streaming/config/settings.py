"""Every setting of a job file, as one table: section.key, the JobConfig field it fills, how it is read, what it means.

`streaming.config.reading` reads job files by it; `--help` and the page of settings are printed from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offsets.filesystems import check_url
from offsets.rate import Rates
from offsets.stores import check_store_url
from offsets.structs import EXACTLY_ONCE, GUARANTEES
from streaming.config import values
from streaming.fetching.source import CLIENTS, LIBRDKAFKA
from streaming.formats import CODECS, FORMATS
from streaming.layouts.event_times import EXTRACTORS, zone_problems
from streaming.layouts.template import template_problems
from streaming.transform.bad_records import FAIL, POLICIES
from streaming.transform.enrichment import PLACES, WORKER
from streaming.transform.recipe import MODES, RECORD

DAY_MS = 86_400_000
REQUIRED = object()
STORES = (
    "zookeeper://h:2181/path, webhdfs://namenode:9870/dir, file:///dir, postgresql://user@h:5432/db?register=NAME "
    "(PGPASSWORD, PGPASSFILE) or sqlite:////file.db?register=NAME"
)


@dataclass(frozen=True)
class Setting:
    """`section.key` of the job file, the field it fills, how its text is read, and what it means."""

    option: str
    field: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str


def _rate(key: str, field: str, parse: Callable[[str], Any], meaning: str) -> Setting:
    """One of Spark's own, of section [spark]: a field of `Rates`, with Spark's default."""
    return Setting(f"spark.spark.streaming.{key}", field, parse, getattr(Rates(), field), meaning)


RATE_SETTINGS = (
    _rate(
        "kafka.maxRatePerPartition", "max_per_partition", values.integer(0, 10**12), "records a second at most; 0: any"
    ),
    _rate(
        "kafka.minRatePerPartition",
        "min_per_partition",
        values.integer(1, 10**12),
        "records a batch that no rate goes below",
    ),
    _rate("backpressure.enabled", "backpressure", values.boolean, "adapt the rate to how fast batches are committed"),
    _rate(
        "backpressure.initialRate",
        "initial",
        values.integer(0, 10**12),
        "records a second over all partitions, until two batches were measured; 0: any",
    ),
    _rate("backpressure.rateEstimator", "estimator", values.choice(("pid",)), "pid is the only one"),
    _rate("backpressure.pid.proportional", "proportional", values.number(0), "weight of the last batch's error"),
    _rate("backpressure.pid.integral", "integral", values.number(0), "weight of what batches were late"),
    _rate("backpressure.pid.derived", "derived", values.number(0), "weight of the change of the error"),
    _rate("backpressure.pid.minRate", "min_rate", values.number(1), "records a second that no estimate goes below"),
)
SETTINGS = (
    Setting("job.name", "name", values.name, REQUIRED, "names the run in Spark's pages, logs and Kafka client ids"),
    Setting("job.function", "function", values.function, None, "module:function applied to each record; absent: as is"),
    Setting(
        "job.function.mode",
        "function_mode",
        values.choice(MODES),
        RECORD,
        "record: called with each record; chunk: with some hundreds at once, for speed",
    ),
    Setting(
        "job.setup",
        "setup",
        values.function,
        None,
        "module:function; what it returns is the function's second argument: tables to enrich with, clients",
    ),
    Setting(
        "job.setup.on",
        "setup_on",
        values.choice(PLACES),
        WORKER,
        "worker: called once in each worker process; driver: called once, and what it returns is broadcast",
    ),
    Setting(
        "job.setup.refresh.batches",
        "setup_refresh_batches",
        values.integer(1, 10**9),
        None,
        "called anew every so many batches; absent: once",
    ),
    Setting(
        "job.badRecords",
        "bad_records",
        values.choice(POLICIES),
        FAIL,
        "fail: the first one stops the run; quarantine: they are kept in _quarantine/<topic>; skip: counted",
    ),
    Setting(
        "job.badRecords.maxShare",
        "max_bad_share",
        values.number(0, 1),
        None,
        "a batch fails if more than this share (0 to 1) of its records is bad",
    ),
    Setting(
        "job.batchInterval.ms",
        "batch_interval_ms",
        values.integer(100, DAY_MS),
        1000,
        "from one batch's start to the next",
    ),
    Setting(
        "job.delivery.guarantee",
        "guarantee",
        values.choice(GUARANTEES),
        EXACTLY_ONCE,
        "exactly-once, or weaker: at-least-once may double the batch in flight at a crash, at-most-once may lose it",
    ),
    Setting("source.subscribe", "subscribe", values.subscribe, None, "topics, separated by commas"),
    Setting(
        "source.subscribePattern",
        "subscribe_pattern",
        values.subscribe_pattern,
        None,
        "or a regular expression (Python's) that the whole name of a topic matches; looked up before every batch",
    ),
    Setting("source.assign", "assign", values.assign, None, 'or partitions one by one: {"topic":[0,1]}'),
    Setting(
        "source.startingOffsets",
        "starting_offsets",
        values.starting_offsets,
        None,
        "where the first launch begins: earliest, latest or JSON; never looked at again",
    ),
    Setting(
        "source.startingTimestamp",
        "starting_timestamp",
        values.integer(0, 10**15),
        None,
        "or at the first record at or after this time, in ms since the epoch; beats the other two",
    ),
    Setting(
        "source.startingOffsetsByTimestamp",
        "starting_offsets_by_timestamp",
        values.starting_times,
        None,
        'or by times for every partition: {"topic":{"0":1764547200000}}; beats startingOffsets',
    ),
    Setting(
        "source.startingOffsetsByTimestampStrategy",
        "starting_strategy",
        values.choice(("error", "latest")),
        "error",
        "where no record is at or after the time: error or latest",
    ),
    Setting(
        "source.client",
        "client",
        values.choice(tuple(CLIENTS)),
        LIBRDKAFKA,
        "what the executors read with: confluent-kafka (librdkafka), or kafka-python where that cannot be installed",
    ),
    Setting(
        "source.maxOffsetsPerTrigger",
        "max_offsets_per_trigger",
        values.integer(1, 10**12),
        None,
        "records of one batch at most, split over the partitions by lag",
    ),
    Setting(
        "source.onDataLoss",
        "on_data_loss",
        values.choice(("fail", "skip")),
        "fail",
        "fail: records that Kafka no longer has stop the run; skip: it goes on behind them and keeps a note of them",
    ),
    Setting(
        "source.startFresh",
        "start_fresh",
        values.boolean,
        False,
        "true: every launch begins at the latest offsets, whatever was committed; only for at-most-once",
    ),
    Setting("offsets.store", "store", values.checked(check_store_url), REQUIRED, STORES),
    Setting(
        "offsets.session.timeout.ms",
        "session_timeout_ms",
        values.integer(2000, 12_000),
        10_000,
        "how long a dead run keeps the lock of a zookeeper or webhdfs store, and a frozen one that of postgresql",
    ),
    Setting(
        "offsets.retain.states",
        "retain_states",
        values.integer(2, 10**6),
        1000,
        "states that any store but zookeeper keeps, the newest among them",
    ),
    Setting(
        "sink.path", "sink_path", values.checked(check_url), REQUIRED, "file:///dir or webhdfs://namenode:9870/dir"
    ),
    Setting(
        "sink.class",
        "sink_class",
        values.function,
        None,
        "module:name of a sink of your own, a class or a decorated function, which is given the records; in sink.path "
        "the job then keeps only its own notes",
    ),
    Setting(
        "sink.timeout.ms",
        "sink_timeout_ms",
        values.integer(1, DAY_MS),
        None,
        "a sink.class that takes longer, for one range or with write_batch for one batch, stops the run; absent: never",
    ),
    Setting("sink.format", "sink_format", values.choice(tuple(FORMATS)), "json", f"one of {', '.join(FORMATS)}"),
    Setting(
        "sink.compression",
        "compression",
        values.choice(CODECS),
        None,
        "none, gzip or zstd for json, text and csv; for parquet also snappy (its default) and lz4; none, deflate or "
        "zstd for avro",
    ),
    Setting(
        "sink.compression.level",
        "compression_level",
        values.integer(1, 22),
        None,
        "1 (fast) to 9 (small) for gzip and deflate, 12 for lz4, 19 for zstd",
    ),
    Setting(
        "sink.schema",
        "schema_file",
        values.text,
        None,
        "for parquet, avro and csv: a file with an Avro schema of the rows, its path relative to the job file's",
    ),
    Setting(
        "sink.path.format",
        "path_format",
        values.checked(template_problems),
        None,
        "folders below sink.path: {topic}, {partition}, {field} of the row, %Y %m %d %H ... of its event time",
    ),
    Setting("sink.timezone", "timezone", values.checked(zone_problems), "UTC", "of the times in sink.path.format"),
    Setting(
        "sink.timestamp.extractor",
        "timestamp_extractor",
        values.choice(EXTRACTORS),
        "Record",
        "event time: Record, Kafka's timestamp, or RecordField",
    ),
    Setting(
        "sink.timestamp.field",
        "timestamp_field",
        values.matching(r"\w+", "a field's name"),
        None,
        "of the row: an int in ms, a float in s, a datetime or text in ISO 8601",
    ),
    Setting(
        "sink.retain.batches",
        "retain_batches",
        values.integer(100, 1_000_000),  # HDFS takes 1,048,576 entries in a folder
        100_000,
        "entries of the batch log that are kept: so far back can verify_output.py look",
    ),
    Setting("sink.retain.runs", "retain_runs", values.integer(1, 100_000), 1000, "run reports that are kept in _runs"),
    Setting(
        "hive.integration", "hive_integration", values.boolean, False, "true: Hive is told of tables and partitions"
    ),
    Setting(
        "hive.metastore.uris",
        "hive_metastore_uris",
        values.matching(r"thrift://\S+:\d+(,thrift://\S+:\d+)*", "thrift://host:9083"),
        None,
        "thrift://host:9083; absent: the metastore that [spark] sets up",
    ),
    Setting("hive.database", "hive_database", values.matching(r"\w+", "a name"), "default", "database of the tables"),
    Setting(
        "hive.location",
        "hive_location",
        values.matching(r"\w+://\S+", "a URL"),
        None,
        "sink.path as Hadoop names it, such as hdfs://namenode:8020/lake; required for webhdfs:",
    ),
    *RATE_SETTINGS,
)
PROPERTY_SECTIONS = ("kafka", "spark")  # passed on to librdkafka and Spark, key by key
# One of each set must be given; of the second, several may be.
ONE_OF = (
    (("source.subscribe", "source.subscribePattern", "source.assign"), False),
    (("source.startingOffsets", "source.startingTimestamp", "source.startingOffsetsByTimestamp"), True),
)
