"""From records to rows: applies the user's function, counts, names the record at fault.  Executor only; no files."""

from __future__ import annotations

import importlib
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from offsets.errors import BadRecordError, ConfigError
from streaming.formats import BadItemError, Format, UnfitError
from streaming.records import Message, Record, from_message
from streaming.sinks.names import encoded_folder
from streaming.sinks.staging import Block

Function = Callable[[Record], Any]
_SHIPPED = re.compile(r".*/userFiles-[^/]+/")  # where Spark puts what a job ships: a folder that is gone afterwards
_ONE_ROW = (tuple, str, dict, bytes)  # asked first: asking for an Iterator costs as much as many a function
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


def load_function(name: str | None) -> Function | None:
    """The callable that `module:function` names.  Raises ConfigError, also for whatever the module's import raises."""
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as e:
        told = f"job.function = {name}: {_why_not_loaded(e)}"
        raise ConfigError([told], "correct the name or the module; it lies beside the job file, or is installed") from e
    if not callable(function):
        raise ConfigError([f"job.function = {name}: is not callable"], "name a function of one Record")
    loaded: Function = function
    return loaded


def grouped(
    function: Function | None, chunk: Sequence[Message], format_: Format, counts: RowCounts
) -> dict[str, Block]:
    """The chunk's rows by directory (already encoded).  Raises BadRecordError; adds to `counts`."""
    counts.records += len(chunk)
    if function is None:
        return _as_is(chunk, format_)
    rows: dict[str, _Rows] = {}
    for message in chunk:
        record = from_message(message)
        try:
            count, bad = _apply(function, record, rows)
        except (Exception, SystemExit) as e:
            raise BadRecordError(record.topic, record.partition, record.offset, _why(function, e), REMEDY) from e
        counts.filtered += not count
        counts.bad += bad > 0
    return {folder: _block(function, format_, found) for folder, found in rows.items()}


def _as_is(chunk: Sequence[Message], format_: Format) -> dict[str, Block]:
    try:
        return {"": Block(format_.as_is(chunk), len(chunk), format_)} if chunk else {}
    except BadItemError as e:
        at = chunk[e.index]
        raise BadRecordError(at.topic(), at.partition(), at.offset(), str(e), e.remedy) from None


@dataclass
class _Rows:
    """A chunk's rows for one directory; `records[i]` is the record behind `rows[i]`."""

    rows: list[Any] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bad: int = 0


def _block(function: Function, format_: Format, found: _Rows) -> Block:
    try:
        return Block(format_.block(found.rows, None), len(found.rows), format_, bad=found.bad)
    except (UnfitError, TypeError):
        for row, record in zip(found.rows, found.records, strict=True):
            try:
                format_.block([row], None)
            except (UnfitError, TypeError) as e:
                why = _why(function, _Unfit(str(e)))
                raise BadRecordError(record.topic, record.partition, record.offset, why, REMEDY) from e
        raise


def _apply(function: Function, record: Record, groups: dict[str, _Rows]) -> tuple[int, int]:
    """Adds the record's rows to `groups`; returns how many rows, and how many of them are bad."""
    result = function(record)
    if result is None:
        return 0, 0
    if isinstance(result, _ONE_ROW) or not isinstance(result, (list, Iterator)):
        return 1, _add(result, record, groups)
    bad = [_add(row, record, groups) for row in result]
    return len(bad), sum(bad)


def _add(row: Any, record: Record, groups: dict[str, _Rows]) -> bool:
    """Returns whether the row is bad.  Raises _Unfit."""
    folder, row, bad = row if isinstance(row, Routed) else ("", row, False)
    try:
        directory = encoded_folder(folder)
    except (ValueError, TypeError) as e:
        raise _Unfit(str(e)) from e
    group = groups.get(directory)
    if group is None:
        group = groups[directory] = _Rows()
    group.rows.append(row)
    group.records.append(record)
    group.bad += bad
    return bad


class _Unfit(Exception):
    """A row that the format or the folder's name cannot take; the function itself did not fail."""


def _why_not_loaded(error: BaseException) -> str:
    """What the import raised, and at which line of the user's code, if it came that far."""
    machinery = (__file__, importlib.__file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in machinery]
    own = [f for f in frames if not f.filename.startswith("<frozen")]
    return f"{type(error).__name__}: {error}" + (f" at {own[-1].filename}:{own[-1].lineno}" if own else "")


def _why(function: Function, error: BaseException) -> str:
    name = f"{function.__module__}:{getattr(function, '__qualname__', type(function).__name__)}"
    text = " ".join(str(error).split())[:300]
    if isinstance(error, _Unfit):
        return f"{name} returned what cannot be written: {text}"
    return f"{name} raised {type(error).__name__}: {text} at {_place(error)}"


def _place(error: BaseException) -> str:
    """file:line where the user's code raised, or called what raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    if not frames:
        return "the call itself"
    own = [f for f in frames if f.filename == frames[0].filename]
    return f"{_SHIPPED.sub('', own[-1].filename)}:{own[-1].lineno}"
