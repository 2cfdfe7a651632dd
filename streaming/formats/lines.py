"""Text and JSON lines: a block is the bytes of whole lines."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar

import orjson

from streaming.formats.base import BadItemError, UnfitError
from streaming.records import Message

LINE_FEED = b"\n"
AS_IS = "set sink.format = json, or a job.function that makes one line of such a record"
DECODE = "set a job.function that decodes such records"
_BETWEEN = orjson.Fragment(LINE_FEED)


class LineWriter:
    """Blocks are lines with their line feeds."""

    held = 0

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write

    def write_block(self, block: bytes) -> None:
        if block:
            self._write(block)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class TextFormat:
    """One line per row, in UTF-8.  Without a function: the value's bytes as they are."""

    extension: ClassVar[str] = "txt"
    typed: ClassVar[bool] = False

    def block(self, rows: Sequence[Any], schema: object = None) -> bytes:
        lines = [row if type(row) is bytes else _encoded(row) for row in _listed(rows)]
        if sum(LINE_FEED in line for line in lines):
            raise UnfitError("a row of format text must be one line, and this one holds a line feed")
        return _joined(lines)

    def as_is(self, chunk: Sequence[Message]) -> bytes:
        values: list[Any] = [m.value() for m in chunk]
        try:
            block = _joined(values)
        except TypeError:
            raise BadItemError(values.index(None), "its value is null, which is no line of text", AS_IS) from None
        if block.count(LINE_FEED) > len(values):
            index = next(i for i, v in enumerate(values) if LINE_FEED in v)
            raise BadItemError(index, "its value holds a line feed: it would be more than one line", AS_IS)
        return block

    def check_schema(self, schema: object) -> None:
        raise ValueError("format text has no schema")

    def open(self, write: Callable[[bytes], Any], schema: object = None) -> LineWriter:
        return LineWriter(write)


@dataclass(frozen=True)
class JsonFormat:
    """One JSON object per line.  Decimals become strings, dates and times ISO 8601; NaN and infinity become null."""

    extension: ClassVar[str] = "json"
    typed: ClassVar[bool] = False

    def block(self, rows: Sequence[Any], schema: object = None) -> bytes:
        rows = _listed(rows)
        for kind in set(map(type, rows)):
            if not (issubclass(kind, dict) or is_dataclass(kind) or hasattr(kind, "_asdict")):
                raise TypeError(f"format json takes a dict, dataclass or NamedTuple, not {kind.__name__}")
        return dumped_lines(rows)

    def as_is(self, chunk: Sequence[Message]) -> bytes:
        lines = []
        for index, message in enumerate(chunk):
            try:
                lines.append(orjson.dumps(_as_object(message)))
            except UnicodeDecodeError as e:
                raise BadItemError(index, f"its key, value or a header is not UTF-8 ({e.reason})", DECODE) from None
        return _joined(lines)

    def check_schema(self, schema: object) -> None:
        raise ValueError("format json has no schema")

    def open(self, write: Callable[[bytes], Any], schema: object = None) -> LineWriter:
        return LineWriter(write)


def dumped_lines(rows: Sequence[Any]) -> bytes:
    """Each row as a line of JSON.  Raises TypeError for what JSON cannot say.

    One call for all rows costs half of a call for each.  Line feeds stand between the array's elements as elements of
    their own, and nowhere else: inside of strings JSON escapes them.
    """
    if not rows:
        return b""
    elements: list[Any] = [_BETWEEN] * (2 * len(rows) + 1)
    elements[1::2] = rows
    array = orjson.dumps(elements, _plain)  # [\n,{...},\n,{...},\n]
    return array[len(b"[\n,") : -len(b",\n]")].replace(b",\n,", LINE_FEED) + LINE_FEED


def _listed(rows: Any) -> Sequence[Any]:
    """Rows as they are, or those of an Arrow table or batch."""
    return rows.to_pylist() if hasattr(rows, "to_pylist") else rows


def _encoded(row: Any) -> bytes:
    if isinstance(row, str):
        try:
            return row.encode()
        except UnicodeEncodeError as e:
            raise UnfitError(f"a row of format text cannot be written in UTF-8 ({e.reason})") from None
    if isinstance(row, bytes):
        return row
    raise TypeError(f"format text takes str or bytes, not {type(row).__name__}")


def _joined(lines: Iterable[bytes]) -> bytes:
    """With a line feed behind each, also behind the last."""
    return LINE_FEED.join([*lines, b""])


def _plain(value: Any) -> Any:
    """What orjson does not know by itself, at any depth."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError(f"format json cannot take a {type(value).__name__}")


def _as_object(message: Message) -> dict[str, Any]:
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": _text(message.key()),
        "value": _text(message.value()),
        "headers": [{"key": name, "value": _text(value)} for name, value in message.headers() or ()],
    }


def _text(data: bytes | None) -> str | None:
    return None if data is None else str(data, "utf-8")
