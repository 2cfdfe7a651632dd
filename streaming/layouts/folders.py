"""From a row and its event time to its folder below the sink's root.  Pure; what comes from data is percent-encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any

from streaming.formats.base import UnfitError
from streaming.layouts.event_times import Minute, known_time, local_time, minute_of
from streaming.layouts.template import DIRECTIVES, Part, parsed
from streaming.sinks.names import MAX_COMPONENT, MAX_FOLDER, encoded_value

OF_THE_RECORD = ("topic", "partition")
REMEMBERED = 4096  # folders of a task

Value = str | bytes | None


@dataclass(frozen=True)
class Layout:
    """`timezone`: in which event times become folders.  `time_field`: of the row; None: Kafka's own timestamp.

    Picklable.  Its template is one that `parsed` takes.
    """

    template: str
    timezone: str = "UTC"
    time_field: str | None = None

    @cached_property
    def components(self) -> tuple[tuple[Part, ...], ...]:
        return parsed(self.template)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields of the row that name its folder, each once."""
        found = [p.text for parts in self.components for p in parts if p.kind == "name"]
        return tuple(dict.fromkeys(name for name in found if name not in OF_THE_RECORD))

    @cached_property
    def timed(self) -> bool:
        """Whether a row without a time has no folder."""
        return any(p.kind == "time" for parts in self.components for p in parts)

    @property
    def needs_record(self) -> bool:
        """Whether a row alone, without its record, has no folder."""
        return self.timed and self.time_field is None

    def folder(self, topic: str, partition: int, minute: Minute | None, values: tuple[Value, ...]) -> str:
        """The directory, already encoded; `values`: of `names`.  Raises UnfitError."""
        known: dict[str, Value] = {"topic": topic, "partition": str(partition)}
        known.update(zip(self.names, values, strict=True))
        local = None if minute is None else local_time(minute, self.timezone)
        path = "/".join(_rendered(parts, known, local) for parts in self.components)
        if len(path) > MAX_FOLDER:
            raise UnfitError(f"the folder {path[:60]}... is longer than {MAX_FOLDER} bytes")
        return path


class Placer:
    """The folders of one partition's rows.  A row costs a look-up, once its minute and values were seen."""

    def __init__(self, layout: Layout, topic: str, partition: int) -> None:
        self.layout = layout
        self._folder = lru_cache(REMEMBERED)(
            lambda minute, values: layout.folder(topic, partition, minute, values)  # a new one is rendered
        )

    def folder(self, timestamp: int, row: Any) -> str:
        """`timestamp`: the record's, in ms.  Raises UnfitError for a row without a time or fields."""
        layout = self.layout
        minute = None
        if layout.timed:
            minute = minute_of(field_of(row, layout.time_field) if layout.time_field else known_time(timestamp))
        return self.at(minute, tuple([text_of(field_of(row, name)) for name in layout.names]))

    def at(self, minute: Minute | None, values: tuple[Value, ...]) -> str:
        """The folder of all rows with this minute and these values of `names`."""
        folder: str = self._folder(minute, values)
        return folder


def _rendered(parts: tuple[Part, ...], known: Mapping[str, Value], local: datetime | None) -> str:
    taken = sum(len(p.text) if p.kind == "text" else 4 for p in parts)
    path = ""
    for part in parts:
        if part.kind == "name":
            path += encoded_value(known[part.text], MAX_COMPONENT - taken, leading=not path)
        else:
            path += part.text if local is None or part.kind == "text" else DIRECTIVES[part.text](local)
    return path


def field_of(row: Any, name: str) -> Any:
    """None if the row has no such field.  Raises UnfitError for what has no fields at all."""
    if isinstance(row, dict):
        return row.get(name)
    if name in _field_names(type(row)):  # type: ignore[arg-type]  # a type is hashable
        return getattr(row, name)
    return None


@lru_cache(maxsize=64)
def _field_names(kind: type) -> frozenset[str]:
    if is_dataclass(kind):
        return frozenset(f.name for f in fields(kind))
    if hasattr(kind, "_fields"):
        return frozenset(kind._fields)
    raise UnfitError(f"a {kind.__name__} has no fields to make a folder of; return Routed(folder, row)")


def text_of(value: Any) -> Value:
    """A value as a folder shows it: dates and times in ISO 8601, truth in small letters."""
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)
