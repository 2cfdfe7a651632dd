"""Rows to bytes of a file: text and JSON lines.  Never opens a file and never sees a path.

A format first turns each row into an *item* (here, where the record at fault is still known), then a writer turns
lists of items into the file.  For lines an item is bytes; a columnar format keeps rows as items and has a footer.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Protocol

import orjson

from streaming.records import Message

LINE_FEED = b"\n"


class BadItemError(ValueError):
    """The message at `index` of a chunk cannot be taken as it is."""

    def __init__(self, index: int, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.index, self.remedy = index, remedy


class RowWriter(Protocol):
    """One open file.  Stateful; what it holds back (row groups, a footer) goes out with `close`."""

    def write_rows(self, rows: list[Any]) -> None:
        """Takes items as `Format.item` and `Format.items_as_is` made them."""

    def close(self) -> None:
        """Writes what is left.  Does not close the file under it."""


class Format(Protocol):
    """Stateless and picklable."""

    extension: str

    def item(self, row: Any) -> Any:
        """One row of a user's function.  Raises ValueError or TypeError saying what is wrong with it."""

    def items_as_is(self, chunk: Sequence[Message]) -> list[Any]:
        """A chunk's messages without a function; one item may stand for many rows.  Raises BadItemError."""

    def open(self, write: Callable[[bytes], Any]) -> RowWriter: ...


class LineWriter:
    """Items are lines without their line feed."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write

    def write_rows(self, rows: list[bytes]) -> None:
        if rows:
            self._write(LINE_FEED.join(rows) + LINE_FEED)

    def close(self) -> None:
        pass


class TextFormat:
    """One line per row, in UTF-8.  Without a function: the value's bytes as they are."""

    extension = "txt"

    def item(self, row: Any) -> bytes:
        if isinstance(row, str):
            row = row.encode()
        if not isinstance(row, bytes):
            raise TypeError(f"format text takes str or bytes, not {type(row).__name__}")
        if LINE_FEED in row:
            raise ValueError("a row of format text must be one line, and this one holds a line feed")
        return row

    def items_as_is(self, chunk: Sequence[Message]) -> list[bytes]:
        values: list[Any] = [m.value() for m in chunk]
        try:
            block = LINE_FEED.join(values)
        except TypeError:
            raise BadItemError(values.index(None), "its value is null, which is no line of text", AS_IS) from None
        if block.count(LINE_FEED) >= len(values) > 0:
            index = next(i for i, v in enumerate(values) if LINE_FEED in v)
            raise BadItemError(index, "its value holds a line feed: it would be more than one line", AS_IS)
        return [block] if values else []

    def open(self, write: Callable[[bytes], Any]) -> LineWriter:
        return LineWriter(write)


class JsonFormat:
    """One JSON object per line.  Decimals become strings, dates and times ISO 8601; NaN and infinity become null."""

    extension = "json"

    def item(self, row: Any) -> bytes:
        if isinstance(row, tuple) and hasattr(row, "_asdict"):
            row = row._asdict()
        elif not isinstance(row, dict) and not is_dataclass(row):
            raise TypeError(f"format json takes a dict, dataclass or NamedTuple, not {type(row).__name__}")
        return orjson.dumps(row, _plain)

    def items_as_is(self, chunk: Sequence[Message]) -> list[bytes]:
        items = []
        for index, message in enumerate(chunk):
            try:
                items.append(orjson.dumps(_as_object(message)))
            except UnicodeDecodeError as e:
                raise BadItemError(index, f"its key, value or a header is not UTF-8 ({e.reason})", DECODE) from None
        return items

    def open(self, write: Callable[[bytes], Any]) -> LineWriter:
        return LineWriter(write)


AS_IS = "set sink.format = json, or a job.function that makes one line of such a record"
DECODE = "set a job.function that decodes such records"
FORMATS: Mapping[str, Format] = {"json": JsonFormat(), "text": TextFormat()}


def _plain(value: Any) -> Any:
    """What orjson does not know by itself, at any depth."""
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
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
