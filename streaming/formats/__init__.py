"""The formats that a sink can write, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from streaming.formats.base import BadItemError, BlockWriter, Format, UnfitError
from streaming.formats.lines import JsonFormat, TextFormat

__all__ = ["FORMATS", "BadItemError", "BlockWriter", "Format", "UnfitError", "open_format"]

FORMATS: Mapping[str, Callable[[], Format]] = {"json": JsonFormat, "text": TextFormat}


def open_format(name: str, compression: str | None = None, level: int | None = None) -> Format:
    """The format of a sink's settings.  Raises ValueError listing what it takes."""
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    if compression is not None or level is not None:
        raise ValueError(f"format {name} takes no compression")
    return FORMATS[name]()
