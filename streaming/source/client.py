"""Client properties: which ones a job may set, and what a consumer or admin client is really built with.

Decides before any connection; never contacts a broker.  The exactly-once promise rests on the values in ENFORCED, so
a job that sets one of them otherwise is refused, not corrected in silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

ErrorCallback = Callable[[KafkaError], None]

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # a worker without logging set up must not print to stderr

ENFORCED: Mapping[str, tuple[str, str]] = {
    "auto.offset.reset": ("error", "an offset outside the log is data loss and stops the run, it is never skipped"),
    "enable.auto.commit": ("false", "the register alone says what was consumed"),
    "enable.auto.offset.store": ("false", "the register alone says what was consumed"),
    "isolation.level": ("read_committed", "records of aborted transactions must never be published"),
    "check.crcs": ("true", "damaged records must never be published"),
    "enable.partition.eof": ("true", "the end of a range may hold no record"),
    "allow.auto.create.topics": ("false", "a mistyped topic must not come into being"),
    "receive.message.max.bytes": ("2147483647", "a record larger than the limit would stop the partition for ever"),
}
_EQUAL = {"auto.offset.reset": ("error", "none")}  # the Java client's name for it
_SERVERS = ("bootstrap.servers", "metadata.broker.list")

_REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("group.instance.id", "group.protocol", "partition.assignment.strategy"), "no group is joined"),
    **dict.fromkeys(("key.deserializer", "value.deserializer"), "records are bytes; decode them in the function"),
    "sasl.jaas.config": "of the Java client; use sasl.username and sasl.password",
    **dict.fromkeys(("ssl.truststore.location", "ssl.truststore.password"), "of Java; use ssl.ca.location (PEM)"),
    "max.poll.records": "of the Java client; use source.maxOffsetsPerTrigger",
    "plugin.library.paths": "it would load foreign code into driver and executors",
    **dict.fromkeys(("logger", "log_cb", "error_cb", "stats_cb", "throttle_cb", "oauth_cb"), "not a text property"),
    **dict.fromkeys(("on_commit", "on_delivery", "default.topic.config"), "not a text property"),
}

# A range never waits for new data; a full queue must not idle for a second (1.9 M instead of 0.3 M records/s); and
# what is queued past the end of a range is thrown away.
_DEFAULTS: Mapping[str, str] = {
    "fetch.wait.max.ms": "10",
    "fetch.queue.backoff.ms": "5",
    "fetch.error.backoff.ms": "100",
    "queued.min.messages": "20000",
    "max.poll.interval.ms": "86400000",
    "reconnect.backoff.max.ms": "1000",
}
_UNKNOWN = "no such property of librdkafka, or not a value of it"
_TOGETHER = {"sasl.mechanism": "PLAIN", "sasl.username": "x", "sasl.password": "x"}  # so that each is tried alone


class _ToLogging:
    """librdkafka's log lines at DEBUG: it repeats itself many times a second, and what matters we raise."""

    def log(self, _level: int, message: str, *args: object) -> None:
        _log.debug(message, *args)


def consumer_config(client: Mapping[str, str]) -> dict[str, str]:
    """What an executor's consumer is built with: the job's properties, our defaults below and ENFORCED above them.

    group.id becomes `spark-executor-<group.id of the job>`, as Spark's own Kafka source does: it shows in broker logs
    and must be allowed by ACLs, but nothing is ever committed to it.
    """
    group = "spark-executor-" + client.get("group.id", "kafka-direct-streaming")
    enforced = {name: value for name, (value, _) in ENFORCED.items()}
    return {**_DEFAULTS, **client, "group.id": group, **enforced}


def open_consumer(client: Mapping[str, str], on_error: ErrorCallback) -> Consumer:
    """A consumer with `consumer_config`; logs to Python's logging.  `on_error` is called inside consume()."""
    return Consumer({**consumer_config(client), "error_cb": on_error}, logger=_ToLogging())


def open_admin(client: Mapping[str, str], on_error: ErrorCallback) -> AdminClient:
    """An admin client; connects in the background.  `on_error` is called inside poll()."""
    own = {name: value for name, value in client.items() if name not in ENFORCED}  # as consumer_config does
    config: dict[str, Any] = {"reconnect.backoff.max.ms": "1000", **own, "error_cb": on_error}
    return AdminClient(config, logger=_ToLogging())


def refused_properties(client: Mapping[str, str]) -> list[str]:
    """Every mistake in a job's client properties as `name: why`; empty if none.  Values are never repeated (secrets).

    A missing bootstrap.servers is the caller's to report.  Contacts nobody.
    """
    problems = [p for name, value in sorted(client.items()) if (p := _problem(name, value))]
    if not problems and (reason := _refusal(client)):
        problems.append(f"{min(client, key=lambda n: n != 'security.protocol')}: {reason}")
    return problems


def _problem(name: str, value: str) -> str | None:
    if name in ENFORCED:
        return _contradiction(name, value)
    if why := _REFUSED.get(name):
        return f"{name}: refused, {why}"
    return f"{name}: {_UNKNOWN}" if _refusal({**_TOGETHER, name: value}) else None


def _contradiction(name: str, value: str) -> str | None:
    must, why = ENFORCED[name]
    if value.strip().lower() in _EQUAL.get(name, (must,)):
        return None
    return f"{name}: refused, it is always {must}: {why}"


def _refusal(client: Mapping[str, str]) -> str:
    """librdkafka's own reason for refusing these properties, or "".  Without servers it connects to nobody."""
    config = {k: v for k, v in consumer_config(client).items() if k not in _SERVERS}
    try:
        Consumer(config, logger=_ToLogging()).close()
    except KafkaException as e:
        return str(e.args[0].str())
    except (TypeError, ValueError) as e:
        return type(e).__name__
    return ""
