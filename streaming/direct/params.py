"""kafkaParams and the SparkConf, as programs for PySpark 1.3 to 2.4 write them.  Pure; raises every mistake at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from offsets.errors import ConfigError
from offsets.nearest import nearest
from offsets.rate import Rates
from streaming.config.settings import RATE_SETTINGS
from streaming.source.client import refused_properties

log = logging.getLogger(__name__)

RESET = "auto.offset.reset"
STARTS: Mapping[str, str] = {
    "smallest": "earliest",
    "earliest": "earliest",
    "largest": "latest",
    "latest": "latest",
}
SERVERS = ("bootstrap.servers", "metadata.broker.list")
KAFKA_0_8: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "zookeeper.connect",
            "zookeeper.connection.timeout.ms",
            "zookeeper.session.timeout.ms",
            "zookeeper.sync.time.ms",
        ),
        "brokers are asked, not ZooKeeper",
    ),
    **dict.fromkeys(
        (
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "dual.commit.enabled",
            "offsets.channel.backoff.ms",
            "offsets.channel.socket.timeout.ms",
            "offsets.commit.max.retries",
            "offsets.storage",
        ),
        "a direct stream commits nothing",
    ),
    **dict.fromkeys(
        (
            "consumer.id",
            "consumer.timeout.ms",
            "exclude.internal.topics",
            "num.consumer.fetchers",
            "queued.max.message.chunks",
            "rebalance.backoff.ms",
            "rebalance.max.retries",
        ),
        "no group is joined",
    ),
    "refresh.leader.backoff.ms": "the client finds leaders by itself",
}
"""Of the consumer of Kafka 0.8: a direct stream had no use for them either, so they are left out, with a warning."""
RATES = {setting.option.removeprefix("spark."): setting for setting in RATE_SETTINGS}
FOR_KAFKA = "spark.streaming.kafka."


@dataclass(frozen=True)
class Params:
    """`properties`: of the clients, with bootstrap.servers.  `start`: earliest or latest.  `unused`: why, by name."""

    properties: Mapping[str, str] = field(repr=False)  # may hold secrets
    start: str
    unused: Mapping[str, str]


def read_params(given: Mapping[str, Any]) -> Params:
    """What `kafkaParams` mean.  Raises ConfigError with every mistake; never repeats a value, which may be a secret."""
    problems = list(_no_texts(given))
    texts = {name: _text(value) for name, value in given.items() if _is_text(value)}
    own = {*SERVERS, RESET, *KAFKA_0_8}
    properties = {name: value for name, value in texts.items() if name not in own}
    problems += [*_server_problems(texts), *_reset_problems(texts), *refused_properties(properties)]
    if problems:
        raise ConfigError([f"kafkaParams: {problem}" for problem in problems], "correct kafkaParams")
    servers = next(texts[name] for name in SERVERS if name in texts)
    unused = {name: KAFKA_0_8[name] for name in sorted(texts.keys() & KAFKA_0_8.keys())}
    return Params({**properties, SERVERS[0]: servers}, STARTS[_reset(texts)], unused)


def _is_text(value: object) -> bool:
    return isinstance(value, (str, int))


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _no_texts(given: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: a text is expected, not {type(v).__name__}" for name, v in given.items() if not _is_text(v))


def _server_problems(texts: Mapping[str, str]) -> Iterator[str]:
    given = {texts[name].strip() for name in SERVERS if name in texts}
    if not given or given == {""}:
        yield f"{SERVERS[1]} or {SERVERS[0]}: missing (host:port, separated by commas)"
    elif len(given) > 1:
        yield f"{SERVERS[1]} and {SERVERS[0]} name different brokers: leave one of them out"


def _reset(texts: Mapping[str, str]) -> str:
    return texts.get(RESET, "largest").strip().lower()


def _reset_problems(texts: Mapping[str, str]) -> Iterator[str]:
    if (word := _reset(texts)) not in STARTS:
        yield f"{RESET}: must be one of {', '.join(STARTS)}, not {word!r}{nearest(word, STARTS)}"


def read_rates(conf: Iterable[tuple[str, str]]) -> Rates:
    """The rates that a SparkConf sets.  Raises ConfigError with every mistake.

    Other keys for Spark's own direct stream are left out, with a warning: of the old one's tuning nothing is here.
    """
    told = {key: value for key, value in conf if key in RATES or key.startswith(FOR_KAFKA)}
    for key in sorted(told.keys() - RATES.keys()):
        log.warning("%s has no effect here%s", key, nearest(key, RATES))
    problems, fields = [], dict[str, Any]()
    for key in sorted(told.keys() & RATES.keys()):
        try:
            fields[RATES[key].field] = RATES[key].parse(told[key].strip())
        except ValueError as e:
            problems.append(f"{key} = {told[key]}: {e}")
    if problems:
        raise ConfigError(problems, "correct the SparkConf")
    return replace(Rates(), **fields)
