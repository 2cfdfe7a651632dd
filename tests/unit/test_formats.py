"""Text and JSON lines: one row, one line; what cannot be one is an error that says why."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Message

from streaming.formats import BadItemError, UnfitError, open_format


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclass
class Account:
    number: int
    opened: Any = None


def message(value: bytes | None, offset: int = 0, **fields: Any) -> Message:
    return Message("t", 1, offset, value=value, timestamp=(1, 1700), **fields)


def written(name: str, *blocks: Any) -> bytes:
    """The file that a format's writer makes of blocks."""
    parts: list[bytes] = []
    writer = open_format(name).open(parts.append, None)
    for block in blocks:
        writer.write_block(block)
    writer.close()
    return b"".join(parts)


def test_lines_end_with_a_line_feed_each() -> None:
    """Also the last, so that files can be concatenated; no rows, no bytes; an empty row is an empty line."""
    text = open_format("text")
    blocks = [text.block(rows, None) for rows in (["a", ""], [], [b"b"])]
    assert written("text", *blocks) == b"a\n\nb\n"
    assert written("text") == written("text", text.as_is([])) == b""


@pytest.mark.parametrize(("row", "line"), [("é", "é".encode()), (b"\xff\0", b"\xff\0"), ("", b""), ("a\rb", b"a\rb")])
def test_text_takes_str_and_bytes(row: Any, line: bytes) -> None:
    """Bytes as they are, str as UTF-8."""
    assert open_format("text").block([row], None) == line + b"\n"


@pytest.mark.parametrize("row", ["a\nb", b"\n", "\ud800", 1, {"a": 1}, Point(1), None])
def test_text_refuses_what_is_not_one_line(row: Any) -> None:
    """Never two lines for one row, never the repr of an object."""
    with pytest.raises((UnfitError, TypeError)):
        open_format("text").block(["fine", row], None)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"a": "b\nc"}, {"a": "b\nc"}),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Account(7, dt.date(2026, 11, 20)), {"number": 7, "opened": "2026-11-20"}),
        ({"at": dt.datetime(2026, 11, 20, 1, 2, 3, tzinfo=dt.timezone.utc)}, {"at": "2026-11-20T01:02:03+00:00"}),
        ({"amount": Decimal("10.10")}, {"amount": "10.10"}),
    ],
)
def test_json_takes_objects(row: Any, value: Any) -> None:
    """Decimals keep every digit as strings, dates are ISO, NamedTuples are objects at any depth; always one line."""
    lines = open_format("json").block([row, {}, row], None)
    assert lines.count(b"\n") == 3
    assert [json.loads(line) for line in lines.splitlines()] == [value, {}, value]


@pytest.mark.parametrize("row", ["{}", b"{}", 1, [1], (1, 2), None, {1: 2}, {"a": b"x"}, {"a": 2**70}, {"a": "\ud800"}])
def test_json_refuses_what_is_no_object_or_would_lose(row: Any) -> None:
    """A str is not guessed to be JSON, bytes not to be text, and a number is never rounded."""
    with pytest.raises((ValueError, TypeError)):
        open_format("json").block([{}, row], None)


def test_text_as_is_is_the_values() -> None:
    """Byte for byte, an empty value as an empty line; one item for the chunk."""
    block = open_format("text").as_is([message(b"a"), message(b""), message(b"\xff")])
    assert written("text", block) == b"a\n\n\xff\n"


@pytest.mark.parametrize("value", [None, b"\n", b"a\nb", b"a\n"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_text_as_is_names_the_value_that_is_not_one_line(value: bytes | None, index: int) -> None:
    """A null, and a line feed anywhere in it."""
    chunk = [message(b"fine") for _ in range(3)]
    chunk[index] = message(value)
    with pytest.raises(BadItemError) as raised:
        open_format("text").as_is(chunk)
    assert raised.value.index == index
    assert raised.value.remedy


def test_json_as_is_is_the_whole_record() -> None:
    """Every field under Kafka's name; null and empty differ; header names may repeat."""
    headers = [("h", b"1"), ("h", None)]
    lines = open_format("json").as_is([message("é".encode(), 5, key=b"", headers=headers), message(None, 6)])
    first, second = map(json.loads, lines.splitlines())
    assert first == {
        "topic": "t",
        "partition": 1,
        "offset": 5,
        "timestamp": 1700,
        "key": "",
        "value": "é",
        "headers": [{"key": "h", "value": "1"}, {"key": "h", "value": None}],
    }
    assert (second["key"], second["value"], second["headers"]) == (None, None, [])


@pytest.mark.parametrize("fields", [{"key": b"\xff"}, {"headers": [("h", b"\xff")]}, {"value": b"\xff"}])
def test_json_as_is_refuses_what_is_not_utf8(fields: dict[str, Any]) -> None:
    """Nothing is replaced by question marks."""
    with pytest.raises(BadItemError, match="UTF-8") as raised:
        open_format("json").as_is([message(b"fine"), message(**{"value": b"", **fields})])
    assert raised.value.index == 1
