"""To the brokers: client properties from the command line, and the topic that is written to.  Sends no record."""

from __future__ import annotations

import configparser
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

CONNECT_SECONDS = 10.0
LOGGER = logging.getLogger("librdkafka")

_SECRET = re.compile(r"password|secret|\.pem$")


class ProduceError(Exception):
    """It cannot go on.  ``exit_status``: 69 brokers unreachable, 2 a wrong option or no such topic, 1 anything else."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def client_properties(servers: str, command_config: Path | None, given: Sequence[str] = ()) -> dict[str, str]:
    """librdkafka's: of the file, above them `given` as NAME=VALUE.  Raises ProduceError, also for a secret there."""
    properties = _of_file(command_config) if command_config else {}
    for each in given:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise ProduceError(f"--producer-property {name}: must be NAME=VALUE", 2)
        if _SECRET.search(name):
            raise ProduceError(f"--producer-property {name}: every process list shows it; use --command-config FILE", 2)
        properties[name] = value
    return {**properties, "bootstrap.servers": servers}


def _of_file(path: Path) -> dict[str, str]:
    """Name=value lines, as Kafka's own tools read them."""
    parser = configparser.ConfigParser(delimiters="=", comment_prefixes=("#", "!"), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string("[client]\n" + path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as e:
        why = e.strerror if isinstance(e, OSError) else type(e).__name__  # a parser's own text repeats the line
        raise ProduceError(f"--command-config {path}: not a file of name=value lines ({why})", 2) from None
    return dict(parser["client"])


def ensure_topic(client: Mapping[str, str], topic: str, partitions: int | None) -> list[int]:
    """Its partitions.  A missing topic is made with `partitions`, or refused with ProduceError if that is None."""
    try:
        admin = AdminClient(dict(client), logger=LOGGER)
        found = _partitions(admin, topic)
        if not found and partitions is None:
            where = client["bootstrap.servers"]
            raise ProduceError(f"topic {topic} does not exist on {where}; create it or give --partitions N", 2)
        if not found:
            _create(admin, topic, partitions or 1)
            found = list(range(partitions or 1))
    except KafkaException as e:
        raise explained(e, client, topic) from e
    return found


def _partitions(admin: AdminClient, topic: str) -> list[int]:
    seen = admin.list_topics(timeout=CONNECT_SECONDS).topics.get(topic)
    return sorted(seen.partitions) if seen else []


def _create(admin: AdminClient, topic: str, partitions: int) -> None:
    try:
        admin.create_topics([NewTopic(topic, partitions)], operation_timeout=CONNECT_SECONDS)[topic].result()
    except KafkaException as e:
        if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def explained(error: KafkaException, client: Mapping[str, str], topic: str) -> ProduceError:
    """What a client's error means to whoever gave the options."""
    kafka_error: KafkaError = error.args[0]
    servers = client["bootstrap.servers"]
    if kafka_error.code() == KafkaError._INVALID_ARG:
        return ProduceError(f"client properties: {kafka_error.str()}", 2)
    if kafka_error.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN):
        why = f"no Kafka broker answered at {servers} within {CONNECT_SECONDS:g} s ({kafka_error.name()})"
        return ProduceError(why, 69)
    return ProduceError(f"topic {topic} cannot be used on {servers}: {kafka_error.name()}, {kafka_error.str()}", 1)
