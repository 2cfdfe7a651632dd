"""A job, as one frozen value of every setting.  Made by `streaming.config.reading`; reads and checks nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from offsets.rate import Rates
from offsets.starting import AtTimes, Numbers, Spec
from streaming.source.subscription import Assign, Subscribe, SubscribePattern, Subscription


@dataclass(frozen=True)
class JobConfig:
    """One job.  Field by field it is what `SETTINGS` documents; `job_file` is its path, for messages and remedies."""

    job_file: str
    name: str
    function: str | None
    function_mode: str
    setup: str | None
    setup_on: str
    setup_refresh_batches: int | None
    bad_records: str
    max_bad_share: float | None
    batch_interval_ms: int
    guarantee: str
    subscribe: Subscribe | None
    subscribe_pattern: SubscribePattern | None
    assign: Assign | None
    starting_offsets: Spec | None
    starting_timestamp: int | None
    starting_offsets_by_timestamp: Numbers | None
    starting_strategy: str
    max_offsets_per_trigger: int | None
    on_data_loss: str
    start_fresh: bool
    client: str  # that the executors read with
    store: str
    session_timeout_ms: int
    retain_states: int
    sink_path: str
    retain_batches: int
    retain_runs: int
    sink_class: str | None
    sink_timeout_ms: int | None
    sink_format: str
    compression: str | None
    compression_level: int | None
    schema_file: str | None
    path_format: str | None
    timezone: str
    timestamp_extractor: str
    timestamp_field: str | None
    hive_integration: bool
    hive_metastore_uris: str | None
    hive_database: str
    hive_location: str | None
    rates: Rates
    kafka: Mapping[str, str] = field(repr=False)  # may hold secrets
    spark: Mapping[str, str] = field(repr=False)

    @property
    def job(self) -> str:
        """The job file as a shell takes it, for the commands that remedies print."""
        return shlex.quote(self.job_file)

    @property
    def subscription(self) -> Subscription:
        """What is read: the one of the three that is set."""
        given: tuple[Subscription | None, ...] = (self.subscribe, self.subscribe_pattern, self.assign)
        return next(each for each in given if each is not None)

    @property
    def start(self) -> Spec | AtTimes:
        """Where a first launch begins: the most exact of those that are set, in Structured Streaming's order."""
        for times in (self.starting_timestamp, self.starting_offsets_by_timestamp):
            if times is not None:
                return AtTimes(times, self.starting_strategy == "latest")
        return self.starting_offsets or {}

    @property
    def user_code(self) -> tuple[str, ...]:
        """The functions and the class that the job names: its code may lie beside the job file."""
        return tuple(name for name in (self.function, self.setup, self.sink_class) if name is not None)

    @property
    def sink_seconds(self) -> float | None:
        """How long one call of a sink.class may take; None: for ever."""
        return None if self.sink_timeout_ms is None else self.sink_timeout_ms / 1000

    @property
    def folder(self) -> Path:
        """The job file's folder: its function's code may lie there."""
        return Path(self.job_file).resolve().parent
