"""Every setting of a job file, as one table: section.key, the JobConfig field it fills, how it is read, what it means.

`streaming.config` reads job files by it; `--help` and the page of settings are printed from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offsets.filesystems import check_url
from offsets.stores import check_store_url
from streaming import setting_values as values
from streaming.formats import FORMATS

DAY_MS = 86_400_000
REQUIRED = object()


@dataclass(frozen=True)
class Setting:
    """`section.key` of the job file, the field it fills, how its text is read, and what it means."""

    option: str
    field: str
    parse: Callable[[str], Any]
    default: Any
    meaning: str


SETTINGS = (
    Setting("job.name", "name", values.name, REQUIRED, "names the run in Spark's pages, logs and Kafka client ids"),
    Setting("job.function", "function", values.function, None, "module:function applied to each record; absent: as is"),
    Setting("job.batchInterval.ms", "batch_interval_ms", values.integer(100, DAY_MS), 1000, "pause between batches"),
    Setting("source.subscribe", "subscribe", values.topics, REQUIRED, "topics, separated by commas"),
    Setting(
        "source.startingOffsets",
        "starting_offsets",
        values.starting_offsets,
        REQUIRED,
        "where the first launch begins: earliest, latest or JSON; never looked at again",
    ),
    Setting(
        "source.maxOffsetsPerTrigger",
        "max_offsets_per_trigger",
        values.integer(1, 10**12),
        None,
        "records of one batch at most, split over the partitions by lag",
    ),
    Setting(
        "offsets.store", "store", values.checked(check_store_url), REQUIRED, "zookeeper://h:2181/path or file:///dir"
    ),
    Setting(
        "offsets.session.timeout.ms",
        "session_timeout_ms",
        values.integer(2000, 12_000),
        10_000,
        "how long a dead run keeps the ZooKeeper lock",
    ),
    Setting(
        "sink.path", "sink_path", values.checked(check_url), REQUIRED, "file:///dir or webhdfs://namenode:9870/dir"
    ),
    Setting("sink.format", "sink_format", values.choice(tuple(FORMATS)), "json", "json (lines) or text"),
)
PROPERTY_SECTIONS = ("kafka", "spark")  # passed on to librdkafka and Spark, key by key
