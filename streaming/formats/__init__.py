"""The formats that a sink can write, by name, and the codecs and levels of each.

What a format needs is imported when it is opened: a job that writes text never waits for pyarrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streaming.formats.base import BadItemError, BlockWriter, Format, UnfitError
from streaming.formats.compressed import Compressed
from streaming.formats.lines import JsonFormat, TextFormat

__all__ = [
    "CODECS",
    "FORMATS",
    "BadItemError",
    "BlockWriter",
    "Format",
    "FormatKind",
    "Levels",
    "UnfitError",
    "open_format",
]


class Levels(NamedTuple):
    """Of a codec: from `low` (fast) to `high` (small), both inclusive."""

    low: int
    high: int
    default: int


@dataclass(frozen=True)
class FormatKind:
    """`codecs`: name to levels, None for a codec without; the first is what a job gets that names none."""

    make: Callable[[str, int | None], Format]
    codecs: Mapping[str, Levels | None]
    typed: bool = False

    @property
    def default_codec(self) -> str:
        return next(iter(self.codecs))


def open_format(name: str, compression: str | None = None, level: int | None = None) -> Format:
    """The format of a sink's settings.  Raises ValueError listing what it takes."""
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    kind = FORMATS[name]
    codec = compression or kind.default_codec
    if codec not in kind.codecs:
        raise ValueError(f"format {name} takes the compressions {', '.join(kind.codecs)}")
    return kind.make(codec, _level(codec, kind.codecs[codec], level))


def _level(codec: str, levels: Levels | None, level: int | None) -> int | None:
    if levels is None:
        if level is not None:
            raise ValueError(f"compression {codec} has no levels")
        return None
    if level is not None and not levels.low <= level <= levels.high:
        raise ValueError(f"compression {codec} has the levels {levels.low} to {levels.high}")
    return levels.default if level is None else level


def _lines(plain: Callable[[], Format]) -> Callable[[str, int | None], Format]:
    return lambda codec, level: plain() if level is None else Compressed(plain(), codec, level)


def _csv() -> Any:
    from streaming.formats.csv_text import CsvFormat

    return CsvFormat()


def _parquet(codec: str, level: int | None) -> Any:
    from streaming.formats.parquet import ParquetFormat

    return ParquetFormat(codec, level)


def _avro(codec: str, level: int | None) -> Any:
    from streaming.formats.avro import AvroFormat

    return AvroFormat(codec, level)


_GZIP, _ZSTD = Levels(1, 9, 6), Levels(1, 19, 3)
_WHOLE_FILE: Mapping[str, Levels | None] = {"none": None, "gzip": _GZIP, "zstd": _ZSTD}
_IN_PARQUET = {"snappy": None, "none": None, "gzip": _GZIP, "zstd": _ZSTD, "lz4": Levels(1, 12, 1)}
_IN_AVRO = {"none": None, "deflate": _GZIP, "zstd": _ZSTD}

FORMATS: Mapping[str, FormatKind] = {
    "json": FormatKind(_lines(JsonFormat), _WHOLE_FILE),
    "text": FormatKind(_lines(TextFormat), _WHOLE_FILE),
    "csv": FormatKind(_lines(_csv), _WHOLE_FILE, typed=True),
    "parquet": FormatKind(_parquet, _IN_PARQUET, typed=True),
    "avro": FormatKind(_avro, _IN_AVRO, typed=True),
}
CODECS = tuple(dict.fromkeys(codec for kind in FORMATS.values() for codec in kind.codecs))
