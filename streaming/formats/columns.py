"""Rows to Arrow columns of a given schema, strictly: nothing is left out, rounded, cut or guessed.

pyarrow alone would leave out unknown fields, cut the fractions of numbers and times, take a naive time for UTC and a
str for bytes, and ignore that a column has no nulls.  What it does check is left to it.  Everything works on whole
columns: what is asked of each value alone costs ten times as much.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streaming.formats.base import UnfitError

Rows = Sequence[Any] | pa.Table | pa.RecordBatch

_NULL = type(None)
_TAKES: Mapping[int, tuple[type, ...]] = {
    pa.lib.Type_BOOL: (bool,),
    pa.lib.Type_INT32: (int,),
    pa.lib.Type_INT64: (int,),
    pa.lib.Type_FLOAT: (float, int),
    pa.lib.Type_DOUBLE: (float, int),
    pa.lib.Type_STRING: (str,),
    pa.lib.Type_BINARY: (bytes,),
    pa.lib.Type_DATE32: (dt.date,),
    pa.lib.Type_TIMESTAMP: (dt.datetime,),
    pa.lib.Type_DECIMAL128: (Decimal, int),
}
_WITH_SUBCLASSES = (str, bytes, int, float)  # such as StrEnum; subclasses of times hold more than is asked of them


def from_rows(rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    """Columns of `relaxed(schema)`.  Raises UnfitError or TypeError, naming the field, if a row is not of `schema`."""
    return pa.RecordBatch.from_arrays(_columns(rows, list(schema), ""), schema=relaxed(schema))


def relaxed(schema: pa.Schema) -> pa.Schema:
    """`schema` as its columns are: within columns everything may be null.

    What never is null within a struct that itself may be: pyarrow refuses to write that where the struct is null.
    """
    return pa.schema([field.with_type(_relaxed(field.type)) for field in schema])


def _relaxed(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _relaxed(field.type)) for field in type_])
    if pa.types.is_list(type_):
        return pa.list_(_relaxed(type_.value_type))
    return pa.map_(pa.string(), _relaxed(type_.item_type)) if pa.types.is_map(type_) else type_


def mappings(rows: Sequence[Any], names: Sequence[str] | None = None) -> Sequence[Mapping[str, Any]]:
    """Each row as a mapping.  `names` are those of a plain tuple's values; without them it is refused."""
    kinds = set(map(type, rows))
    if kinds <= {dict}:
        return rows
    convert = {kind: _to_mapping(kind, names) for kind in kinds}
    return [convert[type(row)](row) for row in rows]


def row_kind(kind: type) -> bool:
    """Whether values of this class have named fields."""
    return issubclass(kind, Mapping) or is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def joined(path: str, name: object) -> str:
    """How messages name a field of a field."""
    return f"{path}.{name}" if path else str(name)


def _to_mapping(kind: type, names: Sequence[str] | None) -> Callable[[Any], Mapping[str, Any]]:
    if issubclass(kind, Mapping):
        return dict
    if is_dataclass(kind):
        own = [field.name for field in fields(kind)]
        return lambda row: {name: getattr(row, name) for name in own}
    if issubclass(kind, tuple):
        return _tuple_to_mapping(kind, getattr(kind, "_fields", names))
    raise TypeError(f"a row must be a dict, a dataclass, a tuple or from Arrow, not {kind.__name__}")


def _tuple_to_mapping(kind: type, names: Sequence[str] | None) -> Callable[[Any], Mapping[str, Any]]:
    if names is None:
        raise TypeError(f"the fields of a {kind.__name__} have no names; set sink.schema, or return dicts")

    def convert(row: tuple[Any, ...]) -> Mapping[str, Any]:
        if len(row) != len(names):
            raise UnfitError(f"{len(row)} values for the {len(names)} fields {', '.join(names)}")
        return dict(zip(names, row, strict=True))

    return convert


def _columns(rows: Sequence[Any], schema: Sequence[pa.Field], path: str) -> list[pa.Array]:
    names = [field.name for field in schema]
    found = mappings(rows, names)
    if unknown := set().union(*found).difference(names):
        raise UnfitError(f"field {joined(path, min(map(str, unknown)))} is not in the schema of its table")
    named = zip(names, schema, strict=True)
    return [_column([row.get(name) for row in found], field, joined(path, name)) for name, field in named]


def _column(values: Sequence[Any], field: pa.Field, path: str) -> pa.Array:
    kinds = set(map(type, values))
    if not field.nullable and _NULL in kinds:
        raise UnfitError(f"field {path} is null or missing, and its schema says that it never is")
    kinds.discard(_NULL)
    if pa.types.is_nested(field.type):
        present = [value for value in values if value is not None]
        return _spread(_nested(present, kinds, field.type, path), values)
    _check_kinds(kinds, field.type, path)
    try:
        return _leaf(values, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as e:
        raise UnfitError(f"field {path}: {e}") from None


def _check_kinds(kinds: Iterable[type], type_: pa.DataType, path: str) -> None:
    takes = _TAKES.get(type_.id, ())
    for kind in kinds:
        inherited = kind is not bool and any(issubclass(kind, t) for t in takes if t in _WITH_SUBCLASSES)
        if kind not in takes and not inherited:
            raise UnfitError(f"field {path} is {type_} in the schema of its table, and here {kind.__name__}")


def _leaf(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(type_):
        if None in set(map(attrgetter("tzinfo"), (v for v in values if v is not None))):
            raise ValueError("a time without a time zone; say which instant it is with tzinfo=datetime.timezone.utc")
        return pa.array(values, pa.timestamp("us", "UTC")).cast(type_)  # pyarrow would cut microseconds
    if pa.types.is_float32(type_):
        return narrowed(pa.array(values, pa.float64()))
    return pa.array(values, type_)


def narrowed(doubles: pa.Array) -> pa.Array:
    """As 32-bit floats: rounded, as the schema asks for, but never to infinity.  Raises ValueError."""
    floats = doubles.cast(pa.float32())
    if pc.sum(pc.is_inf(floats)) != pc.sum(pc.is_inf(doubles)):
        raise ValueError("a number too large for 32 bits")
    return floats


def _nested(values: list[Any], kinds: set[type], type_: pa.DataType, path: str) -> pa.Array:
    """A column of structs, lists or maps without nulls."""
    fits = {pa.lib.Type_STRUCT: row_kind, pa.lib.Type_MAP: _is_mapping, pa.lib.Type_LIST: _is_list}[type_.id]
    for kind in kinds:
        if not fits(kind):
            raise UnfitError(f"field {path} is {type_} in the schema of its table, and here {kind.__name__}")
    if pa.types.is_struct(type_):
        return pa.StructArray.from_arrays(_columns(values, list(type_), path), [field.name for field in type_])
    offsets = pa.array(accumulate(map(len, values), initial=0), pa.int32())
    if pa.types.is_map(type_):
        keys = _column(list(chain.from_iterable(values)), type_.key_field, f"{path} key")
        items = _column(list(chain.from_iterable(v.values() for v in values)), type_.item_field, f"{path} value")
        return pa.MapArray.from_arrays(offsets, keys, items)
    items = _column(list(chain.from_iterable(values)), type_.value_field, f"{path}[]")
    return pa.ListArray.from_arrays(offsets, items)


def _is_mapping(kind: type) -> bool:
    return issubclass(kind, Mapping)


def _is_list(kind: type) -> bool:
    return issubclass(kind, (list, tuple)) and not hasattr(kind, "_fields")


def _spread(present: pa.Array, values: Sequence[Any]) -> pa.Array:
    """`present` with nulls where `values` has them."""
    return present if len(present) == len(values) else present.take(pa.array(_indices(values), pa.int32()))


def _indices(values: Iterable[Any]) -> Iterator[int | None]:
    index = -1
    for value in values:
        index += value is not None
        yield None if value is None else index
