"""Settings that contradict what a job promises, or each other: each is refused by its name, with the reason.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from offsets.errors import ConfigError
from offsets.structs import AT_MOST_ONCE
from streaming.config.job import JobConfig

_CHECKPOINT = "refused, the register alone says where a job goes on; a checkpoint directory would be a second opinion"
CHECKPOINTS = ("spark.streaming.checkpoint.directory", "spark.sql.streaming.checkpointLocation", "spark.checkpoint.dir")
SPECULATION = "spark.speculation"

# What a direct sink has no use for: a job that sets it expects something that would not happen.
_GIVEN = "refused beside sink.class: a direct sink is given the records as they are, and does all else itself"
_SECOND = "refused beside sink.class: files would be a second output, which cannot be committed together with the sink"
BESIDE_A_CLASS = {
    **dict.fromkeys(("job.function", "job.setup", "job.badRecords"), _GIVEN),
    **dict.fromkeys(("sink.format", "sink.compression", "sink.schema", "sink.path.format"), _SECOND),
    **dict.fromkeys(("sink.timezone", "sink.timestamp", "hive"), _SECOND),
}
STARTS = ("source.startingTimestamp", "source.startingOffsetsByTimestamp", "source.startingOffsets")


def spark_conflicts(spark: Mapping[str, str], direct: bool) -> list[str]:
    """Of properties of Spark, wherever they were set.  `direct`: whether the job has a sink.class."""
    problems = [f"{key}: {_CHECKPOINT}" for key in CHECKPOINTS if spark.get(key, "").strip()]
    if spark.get("spark.streaming.concurrentJobs", "1").strip() != "1":
        problems.append("spark.streaming.concurrentJobs: refused, batches must be committed one after the other")
    if direct and spark.get(SPECULATION, "").strip().lower() == "true":
        problems.append(f"{SPECULATION}: refused beside sink.class: two attempts of one task would write at once")
    return problems


def sink_conflicts(options: Iterable[str]) -> list[str]:
    """What a job sets beside sink.class and no direct sink has, or has alone.  `options`: all that it sets."""
    given = list(options)
    if "sink.class" not in given:
        alone = "sink.timeout.ms"
        return [f"{alone}: only beside sink.class: it bounds code of yours, no files"] if alone in given else []
    return [
        f"{option}: {why}"
        for name, why in BESIDE_A_CLASS.items()
        for option in given
        if option == name or option.startswith(f"{name}.")
    ]


def fresh_conflicts(fields: Mapping[str, Any], options: Iterable[str]) -> list[str]:
    """What does not go with source.startFresh.  `fields` holds those settings that can each be read."""
    if not fields.get("start_fresh"):
        return []
    problems = []
    if (guarantee := fields.get("guarantee", AT_MOST_ONCE)) != AT_MOST_ONCE:
        problems.append(
            f"source.startFresh = true: it leaves out records, which {guarantee} promises not to; only with "
            f"job.delivery.guarantee = {AT_MOST_ONCE}"
        )
    if fields.get("starting_offsets") != "latest":
        problems += [
            f"{option}: source.startFresh = true begins at the latest offsets; write source.startingOffsets = latest"
            for option in STARTS
            if option in options
        ]
    return problems


def refuse_empty(config: JobConfig, available_now: bool) -> None:
    """Raises ConfigError for a run that could read nothing, ever."""
    if available_now and config.start_fresh:
        problem = "--available-now: source.startFresh = true begins at the end offsets at which such a run is over"
        raise ConfigError([problem], "use --duration, or neither; nothing was connected to and nothing was written")
