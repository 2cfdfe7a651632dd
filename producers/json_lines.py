"""Lines of JSON as records: value, key and headers.  Pure, but for the reading of the file; knows no Kafka.

A line's own bytes are its record's value, without the end of line: nothing of a number's or a text's form is lost.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
import pyarrow as pa

from producers.delivery import Item


class MalformedLineError(ValueError):
    """A line that is no JSON, or has no key where one is wanted; says the number and why."""


@contextmanager
def open_lines(path: str) -> Iterator[BinaryIO]:
    """The file, unpacked by its suffix (.gz, .zst, .bz2, .lz4); "-" is stdin.  Raises OSError, in the middle too."""
    if path == "-":
        yield sys.stdin.buffer
    else:
        with io.BufferedReader(pa.input_stream(path, compression="detect"), 1 << 20) as lines:
            yield lines


def string_key(key: Any) -> bytes:
    """A text as its UTF-8, anything else as JSON."""
    return key.encode() if isinstance(key, str) else json_key(key)


def json_key(key: Any) -> bytes:
    """The key as JSON.  Raises ValueError for what was read with less than all of its digits, or may have been."""
    if isinstance(key, float):
        raise ValueError("a number with a fraction, or of more than 64 bits, is no key")
    return orjson.dumps(key)


KEY_SERIALIZERS: Mapping[str, Callable[[Any], bytes]] = {"string": string_key, "json": json_key}


@dataclass
class JsonLines:
    """Makes items of lines.  `malformed`: lines left out so far, with `skip`; without it the first one raises."""

    key: str | None = None  # a field of the line; dots lead into objects; null there means no key
    write_key: Callable[[Any], bytes] = string_key
    headers: tuple[tuple[str, bytes], ...] = ()
    skip: bool = False
    malformed: int = 0

    def items(self, lines: Iterable[bytes]) -> Iterator[Item]:
        """Raises MalformedLineError."""
        for number, line in enumerate(lines, 1):
            try:
                item = self._item(number, line.rstrip(b"\r\n"))
            except (ValueError, TypeError) as e:
                if not self.skip:
                    raise MalformedLineError(f"line {number}: {e}") from None
                self.malformed += 1
            else:
                yield item

    def _item(self, number: int, line: bytes) -> Item:
        parsed = orjson.loads(line)
        key = None if self.key is None else _field(parsed, self.key)
        written = None if key is None else self.write_key(key)
        return Item(line, written, headers=self.headers, note={"number": number})


def _field(parsed: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(parsed, dict) or name not in parsed:
            raise ValueError(f"it has no {path}")
        parsed = parsed[name]
    return parsed
