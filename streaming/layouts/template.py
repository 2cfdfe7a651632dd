"""sink.path.format: from a row and its event time to a folder.  Pure; what comes from data is percent-encoded.

A template is made of components, `/` between them.  A component holds plain letters, strftime directives and at most
one `{name}`: with two, values could share a folder ("1-2" and "3", "1" and "2-3").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from streaming.formats.base import UnfitError
from streaming.layouts.event_times import Minute, known_time, local_time, minute_of
from streaming.sinks.names import MAX_COMPONENT, MAX_FOLDER, encoded_value

# Of a fixed width each, whatever the machine's language.
DIRECTIVES: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda t: f"{t.year:04}",
    "m": lambda t: f"{t.month:02}",
    "d": lambda t: f"{t.day:02}",
    "H": lambda t: f"{t.hour:02}",
    "M": lambda t: f"{t.minute:02}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "G": lambda t: f"{t.isocalendar()[0]:04}",
    "V": lambda t: f"{t.isocalendar()[1]:02}",
    "u": lambda t: f"{t.isocalendar()[2]}",
}
OF_THE_RECORD = ("topic", "partition")
MAX_LITERAL = 100  # bytes of a component, which leaves as many for its value
REMEMBERED = 4096  # folders of a task
_PART = re.compile(r"\{(\w+)\}|%(.)|([A-Za-z0-9.~_=-]+)|(.)", re.ASCII | re.DOTALL)

Value = str | bytes | None


class Part(NamedTuple):
    """A piece of a component; `kind`: text, time or name."""

    kind: str
    text: str


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


def parsed(template: str) -> tuple[tuple[Part, ...], ...]:
    """The template's components.  Raises ValueError that says what is wrong with it."""
    return tuple(_component(text) for text in template.split("/"))


def template_problems(template: str) -> list[str]:
    try:
        parsed(template)
    except ValueError as e:
        return [str(e)]
    return []


def _component(text: str) -> tuple[Part, ...]:
    parts = [_part(match) for match in _PART.finditer(text)]
    if not parts:
        raise ValueError("has an empty component: it begins or ends with /, or holds //")
    if parts[0].kind == "text" and parts[0].text[0] in "._":
        raise ValueError(f"component {text!r} begins with {parts[0].text[0]!r}, so no reader would see it")
    if sum(part.kind == "name" for part in parts) > 1:
        raise ValueError(f"component {text!r} holds more than one {{name}}; put / between them")
    if len(text) > MAX_LITERAL:
        raise ValueError(f"component {text[:20]!r}... is longer than {MAX_LITERAL}")
    return tuple(parts)


def _part(match: re.Match[str]) -> Part:
    name, directive, text, other = match.groups()
    if directive is not None and directive not in DIRECTIVES:
        raise ValueError(f"%{directive} is none of {' '.join('%' + d for d in DIRECTIVES)}")
    if other is not None:
        raise ValueError(f"{other!r} can only come from data: use letters, digits and . _ = ~ - besides {{name}} and %")
    return Part("name", name) if name else Part("time", directive) if directive else Part("text", text)


def _rendered(parts: tuple[Part, ...], known: Mapping[str, Value], local: datetime | None) -> str:
    taken = sum(len(p.text) if p.kind == "text" else 4 for p in parts)
    path = ""
    for part in parts:
        if part.kind == "name":
            path += encoded_value(known[part.text], MAX_COMPONENT - taken, leading=not path)
        else:
            path += part.text if local is None or part.kind == "text" else DIRECTIVES[part.text](local)
    return path


# ---- from values to text


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
