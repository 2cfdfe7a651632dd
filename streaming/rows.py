"""From records to rows: applies the user's function, counts, names the record at fault.  Executor only; no files."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from offsets.errors import BadRecordError, ConfigError
from streaming.formats import FORMATS, BadItemError, Format
from streaming.records import Message, Record, from_message
from streaming.sinks.names import encoded_folder

Function = Callable[[Record], Any]
REMEDY = "correct the function, or let it return Routed(folder, row, bad=True) for such records; then launch again"


class Routed(NamedTuple):
    """A row for `sink.path`/`folder`/.  `bad`: it stands for a record that the function could not use."""

    folder: str
    row: Any
    bad: bool = False


@dataclass
class RowCounts:
    """What became of a task's records."""

    records: int = 0  # fetched
    filtered: int = 0  # for which the function returned no row
    bad: int = 0  # for which it returned a row marked bad


@dataclass
class Rows:
    """A chunk's items for one directory, as the format's writer takes them; `count` is how many rows they are."""

    rows: list[Any] = field(default_factory=list)
    count: int = 0
    bad: int = 0


def load_function(name: str | None) -> Function | None:
    """The callable that `module:function` names.  Raises ConfigError."""
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as e:
        raise ConfigError([f"job.function = {name}: {e}"], "correct the name, or ship its module") from e
    if not callable(function):
        raise ConfigError([f"job.function = {name}: is not callable"], "name a function of one Record")
    loaded: Function = function
    return loaded


def grouped(
    function: Function | None, chunk: Sequence[Message], format_name: str, counts: RowCounts
) -> dict[str, Rows]:
    """The chunk's rows by directory (already encoded).  Raises BadRecordError; adds to `counts`."""
    counts.records += len(chunk)
    format_ = FORMATS[format_name]
    if function is None:
        return _as_is(chunk, format_)
    groups: dict[str, Rows] = {}
    for message in chunk:
        _add(function, from_message(message), format_, groups, counts)
    return groups


def _as_is(chunk: Sequence[Message], format_: Format) -> dict[str, Rows]:
    try:
        return {"": Rows(format_.items_as_is(chunk), len(chunk))} if chunk else {}
    except BadItemError as e:
        at = chunk[e.index]
        raise BadRecordError(at.topic(), at.partition(), at.offset(), str(e), e.remedy) from None


def _add(function: Function, record: Record, format_: Format, groups: dict[str, Rows], counts: RowCounts) -> None:
    made = bad = 0
    try:
        for row in _results(function(record)):
            folder, row, is_bad = row if isinstance(row, Routed) else ("", row, False)
            try:
                item, directory = format_.item(row), encoded_folder(folder)
            except (ValueError, TypeError, AttributeError) as e:
                raise _Unfit(str(e)) from e
            group = groups.get(directory) or groups.setdefault(directory, Rows())
            group.rows.append(item)
            group.count += 1
            group.bad += is_bad
            made, bad = made + 1, bad + is_bad
    except Exception as e:
        raise BadRecordError(record.topic, record.partition, record.offset, _why(function, e), REMEDY) from e
    counts.filtered += not made
    counts.bad += bool(bad)


class _Unfit(Exception):
    """A row that the format or the folder's name cannot take; the function itself did not fail."""


def _results(returned: Any) -> Iterator[Any]:
    if returned is None:
        return iter(())
    if isinstance(returned, (list, Iterator)):
        return iter(returned)
    return iter((returned,))


def _why(function: Function, error: Exception) -> str:
    name = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__name__)}"
    text = " ".join(str(error).split())[:300]
    if isinstance(error, _Unfit):
        return f"{name} returned what cannot be written: {text}"
    return f"{name} raised {type(error).__name__}: {text} at {_place(error)}"


def _place(error: Exception) -> str:
    """file:line where the user's code raised, or called what raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    if not frames:
        return "the call itself"
    own = [f for f in frames if f.filename == frames[0].filename]
    return f"{own[-1].filename}:{own[-1].lineno}"
