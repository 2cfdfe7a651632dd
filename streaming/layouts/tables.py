"""The folders of an Arrow table's rows, found column by column: Python sees each combination of values once."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streaming.formats import UnfitError
from streaming.layouts.event_times import Minute, minute_of
from streaming.layouts.folders import Layout, Placer, text_of

_MINUTE_MS = 60_000


def split(table: pa.Table | pa.RecordBatch, placer: Placer) -> list[tuple[str, pa.Table]]:
    """The table's rows by directory, in their order.  Raises UnfitError if one has no time."""
    layout = placer.layout
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if not len(table):
        return []
    columns = [_column(table, name) for name in layout.names]
    minutes, wall = _minutes(table, layout) if layout.timed else (None, False)
    keys = pa.table({str(i): c for i, c in enumerate([*columns, *([] if minutes is None else [minutes])])})
    if not keys.num_columns:
        return [(placer.at(None, ()), table)]
    names = keys.column_names
    rows = keys.append_column("row", pa.array(range(len(table)), pa.int64()))
    by_folder: dict[str, list[Any]] = {}
    for found in rows.group_by(names, use_threads=False).aggregate([("row", "list")]).to_pylist():
        values = tuple(text_of(found[str(i)]) for i in range(len(columns)))
        minute: Minute | None = None if minutes is None else (found[names[-1]], wall)
        by_folder.setdefault(placer.at(minute, values), []).extend(found["row_list"])
    return [(folder, table.take(pa.array(sorted(at), pa.int64()))) for folder, at in by_folder.items()]


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """A missing column is null in every row, as a missing field is."""
    if name not in table.column_names:
        return pa.nulls(len(table), pa.string())
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type):
        raise UnfitError(f"field {name} is {column.type}, which makes no folder")
    return column


def _minutes(table: pa.Table, layout: Layout) -> tuple[pa.Array | pa.ChunkedArray, bool]:
    """The minute of each row's event time, and whether they are a wall clock's.  Raises UnfitError."""
    column = _column(table, layout.time_field or "")
    if column.null_count:
        raise UnfitError(f"its event time, field {layout.time_field}, is null")
    type_ = column.type
    if pa.types.is_timestamp(type_):
        return _floored(column.cast(pa.timestamp("us", type_.tz)).cast(pa.int64()), 60_000_000), type_.tz is None
    if pa.types.is_integer(type_):
        return _floored(column.cast(pa.int64()), _MINUTE_MS), False
    found = [_minute_of(value) for value in column.to_pylist()]
    walls = {wall for _, wall in found}
    if len(walls) > 1:
        raise UnfitError(f"field {layout.time_field} has an offset in some rows and none in others")
    return pa.array([minute for minute, _ in found], pa.int64()), walls == {True}


def _minute_of(value: Any) -> Minute:
    if not isinstance(value, (float, str, date, datetime)):
        raise UnfitError(f"its event time is {value!r:.40}")
    return minute_of(value)


def _floored(numbers: pa.ChunkedArray, unit: int) -> pa.ChunkedArray:
    """Divided, downwards also before the epoch."""
    truncated = pc.divide(numbers, unit)
    below = pc.less(pc.subtract(numbers, pc.multiply(truncated, unit)), 0)
    return pc.subtract(truncated, below.cast(pa.int64()))
