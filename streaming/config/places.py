"""Where a job's register, sink and Kafka are, for those who look at it from outside: values; connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streaming.config.job import JobConfig

SESSION_SECONDS, RETAIN_STATES = 10.0, 1000  # as the settings' own defaults


@dataclass(frozen=True)
class Places:
    """`sink` is None, and `kafka` empty, where nobody has named one; `config` is None without a job file.

    `told`: the same places, as arguments for the commands that remedies print.
    """

    name: str
    told: str
    store: str
    sink: str | None
    kafka: Mapping[str, str] = field(repr=False)  # librdkafka's properties: may hold secrets
    session_seconds: float = SESSION_SECONDS
    retain_states: int = RETAIN_STATES
    config: JobConfig | None = None


def of_job(config: JobConfig) -> Places:
    """A job's own."""
    session = config.session_timeout_ms / 1000
    return Places(
        config.name, config.job, config.store, config.sink_path, config.kafka, session, config.retain_states, config
    )
