"""How the text of one setting becomes its value.  Each raises ValueError saying what it must be; none connects."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from offsets.starting import EARLIEST, Numbers, Spec
from offsets.structs import TopicPartition
from streaming.source.subscription import Assign, Subscribe, SubscribePattern

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")  # Kafka's own rule (org.apache.kafka.common.internals.Topic)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
FUNCTION_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,100}", text):
        raise ValueError("must be 1 to 100 letters, digits, '_', '.' or '-'")
    return text


def function(text: str) -> str:
    if not FUNCTION_NAME.fullmatch(text):
        raise ValueError("must look like module:function")
    return text


def subscribe(text: str) -> Subscribe:
    topics = tuple(_topic(t.strip()) for t in text.split(",") if t.strip())
    if not topics or len(set(topics)) < len(topics):
        raise ValueError("must name one or more topics, separated by commas, each once")
    return Subscribe(topics)


def subscribe_pattern(text: str) -> SubscribePattern:
    try:
        return SubscribePattern(re.compile(text))
    except re.error as e:
        raise ValueError(f"is no regular expression of Python's: {e}") from None


def assign(text: str) -> Assign:
    try:
        named = [TopicPartition(topic, _whole(p)) for topic, ps in _json(text).items() for p in ps]
    except (ValueError, AttributeError, TypeError):
        raise ValueError('must be JSON like {"topic":[0,1]}') from None
    for tp in named:
        _topic(tp.topic)
    if not named or len(set(named)) < len(named):
        raise ValueError("must name one or more partitions, each once")
    return Assign(frozenset(named))


def _topic(name: str) -> str:
    if not TOPIC_NAME.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{name!r} is no topic name")
    return name


def _whole(value: Any, least: int = 0) -> int:
    if type(value) is not int or value < least:
        raise ValueError("no such number")
    return value


def starting_offsets(text: str) -> Spec:
    if text in ("earliest", "latest"):
        return text
    try:
        return _by_partition(text, EARLIEST)
    except (ValueError, AttributeError, TypeError):
        example = '{"topic":{"0":23,"1":-2}}'
        raise ValueError(f"must be earliest, latest or JSON like {example} (-2 earliest, -1 latest)") from None


def starting_times(text: str) -> Numbers:
    try:
        return _by_partition(text, 0)
    except (ValueError, AttributeError, TypeError):
        raise ValueError('must be JSON like {"topic":{"0":1764547200000}}, in ms since the epoch') from None


def _by_partition(text: str, least: int) -> dict[str, dict[int, int]]:
    return {t: {_partition(p): _whole(n, least) for p, n in numbers.items()} for t, numbers in _json(text).items()}


def _partition(text: str) -> int:
    if str(int(text)) != text:
        raise ValueError("no such number")
    return int(text)


def _json(text: str) -> Any:
    """Python would take the last of two that have one name, and say nothing of the first."""
    try:
        return json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII) or not low <= float(text) <= high:
            raise ValueError(f"must be a number, at least {low:g}" + (f", at most {high:g}" if high < math.inf else ""))
        return float(text)

    return parse


def duration(text: str) -> float:
    """Seconds, from a number and its unit, as sleep(1) and systemd take it: 90s, 1.5h."""
    if not (given := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text, re.ASCII)) or float(given[1]) == 0:
        raise ValueError("must be a time like 90s, 10m, 2h or 1d")
    return float(given[1]) * SECONDS[given[2]]


def checked(check: Callable[[str], list[str]]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if problems := check(text):
            raise ValueError("; ".join(problems))
        return text

    return parse


def choice(names: Iterable[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return text

    return parse


def boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def matching(pattern: str, told: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {told}")
        return text

    return parse
