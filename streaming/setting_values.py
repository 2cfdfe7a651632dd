"""How the text of one setting becomes its value.  Each raises ValueError saying what it must be; none connects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from offsets.starting import EARLIEST

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")  # Kafka's own rule (org.apache.kafka.common.internals.Topic)
FUNCTION_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

StartingOffsets = str | Mapping[str, Mapping[int, int]]


def name(text: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,100}", text):
        raise ValueError("must be 1 to 100 letters, digits, '_', '.' or '-'")
    return text


def function(text: str) -> str:
    if not FUNCTION_NAME.fullmatch(text):
        raise ValueError("must look like module:function")
    return text


def topics(text: str) -> tuple[str, ...]:
    topics = tuple(t.strip() for t in text.split(",") if t.strip())
    for topic in topics:
        if not TOPIC_NAME.fullmatch(topic) or topic in (".", ".."):
            raise ValueError(f"{topic!r} is no topic name")
    if not topics or len(set(topics)) < len(topics):
        raise ValueError("must name one or more topics, separated by commas, each once")
    return topics


def starting_offsets(text: str) -> StartingOffsets:
    if text in ("earliest", "latest"):
        return text
    try:
        return {
            topic: {int(p): _offset(offset) for p, offset in offsets.items()}
            for topic, offsets in json.loads(text).items()
        }
    except (ValueError, AttributeError, TypeError):
        example = '{"topic":{"0":23,"1":-2}}'
        raise ValueError(f"must be earliest, latest or JSON like {example} (-2 earliest, -1 latest)") from None


def _offset(value: Any) -> int:
    if type(value) is not int or value < EARLIEST:
        raise ValueError("no offset")
    return value


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


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
