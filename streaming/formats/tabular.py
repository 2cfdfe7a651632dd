"""Rows of any kind to columns of their table's schema.  Arrow's own are cast only where no value changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from streaming.formats.base import UnfitError
from streaming.formats.columns import from_rows, narrowed, relaxed
from streaming.formats.schemas import supported

Column: TypeAlias = pa.Array | pa.ChunkedArray


def to_columns(rows: Sequence[Any] | pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table | pa.RecordBatch:
    """Raises UnfitError or TypeError, naming the field, if any row is not of the schema."""
    return from_arrow(rows, schema) if isinstance(rows, (pa.Table, pa.RecordBatch)) else from_rows(rows, schema)


def from_arrow(table: pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Columns of `relaxed(schema)`, in its order; a missing one is null.  Raises UnfitError, naming the field."""
    names = table.schema.names
    if len(set(names)) < len(names):
        raise UnfitError("an Arrow table with two columns of one name")
    if unknown := set(names).difference(schema.names):
        raise UnfitError(f"field {min(unknown)} is not in the schema of its table")
    target = relaxed(schema)
    columns = [
        _column(table.column(f.name), f, to.type) if f.name in names else _absent(len(table), f, to.type)
        for f, to in zip(schema, target, strict=True)
    ]
    return pa.table(columns, schema=target)


def _absent(length: int, field: pa.Field, target: pa.DataType) -> pa.Array:
    if not field.nullable and length:
        raise UnfitError(f"field {field.name} is missing, and its schema says that it never is")
    return pa.nulls(length, target)


def _column(column: Column, field: pa.Field, target: pa.DataType) -> Column:
    if column.null_count and not field.nullable:
        raise UnfitError(f"field {field.name} is null, and its schema says that it never is")
    ours = supported(column.type, field.name)
    try:
        column.validate(full=True)  # a string that is no UTF-8
        if column.type == field.type == target:
            return column
        if pa.types.is_nested(field.type):
            values = column.to_pylist(maps_as_pydicts="strict")
            return from_rows([{field.name: value} for value in values], pa.schema([field])).column(0)
        return _cast(column, ours, field)
    except UnfitError:
        raise
    except (pa.ArrowException, ValueError, KeyError) as e:  # KeyError: a key twice in a map
        raise UnfitError(f"field {field.name}: {e}") from None


def _cast(column: Column, ours: pa.DataType, field: pa.Field) -> Column:
    if pa.types.is_null(ours) or _alike(ours, field.type):
        if pa.types.is_float32(field.type) and pa.types.is_float64(ours):
            return narrowed(column)
        return column.cast(field.type)  # safe: an error where a value would change
    raise UnfitError(f"field {field.name} is {field.type} in the schema of its table, and here {column.type}")


def _alike(ours: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a value of the one can be meant as the other."""
    types = pa.types
    numbers = (types.is_integer(ours) and types.is_floating(wanted)) or (
        types.is_integer(ours) and types.is_decimal(wanted)
    )
    kinds = (types.is_integer, types.is_floating, types.is_decimal, types.is_timestamp)
    return ours == wanted or numbers or any(is_(ours) and is_(wanted) for is_ in kinds)
