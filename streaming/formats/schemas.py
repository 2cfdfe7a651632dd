"""The schema of a table: found in rows, and settled.  Pure.

The types of columns: bool, int32, int64, float32, float64, string, binary, date32, timestamp (ms or us, in UTC),
decimal128, and struct, list and map (of string keys) of these.  `null` is the type of a column of which nothing but
nulls was seen yet; `settled` ends that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from itertools import chain
from typing import Any

import pyarrow as pa

from streaming.formats.base import UnfitError
from streaming.formats.columns import Rows, joined, mappings, row_kind
from streaming.formats.schema_text import MICROS, MILLIS
from streaming.formats.unions import MAX_DIGITS, united_types

MAX_DEPTH = 50  # of rows within rows; past that it is no table, and near where Python gives up
EMPTY_OBJECT = pa.struct([])
_LEAVES: Mapping[type, pa.DataType] = {  # the first that a value is an instance of
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    dt.datetime: MICROS,
    dt.date: pa.date32(),
}


def infer(rows: Rows) -> pa.Schema:
    """The schema that all of the rows fit, fields in the order of their first appearance, all of them nullable.

    Of a table or batch: its own schema in the types above.  Decimals become decimal128(38, the largest scale seen):
    later amounts may have more digits.  Raises UnfitError or TypeError: no columns can hold these rows together.
    """
    try:
        if isinstance(rows, (pa.Table, pa.RecordBatch)):
            return pa.schema([pa.field(f.name, supported(f.type, f.name)) for f in rows.schema])
        return pa.schema(_inferred_fields(rows, ""))
    except UnicodeEncodeError as e:
        raise UnfitError(f"a field's name cannot be written in UTF-8 ({e.reason})") from None


def settled(schema: pa.Schema) -> pa.Schema:
    """What can be pinned: a column of which only nulls were seen takes strings from now on, one of which only empty
    objects were seen takes objects of strings: a file must say a type, and these take most of what may still come.
    """
    return pa.schema([field.with_type(_settled(field.type)) for field in schema], schema.metadata)


def check_complete(schema: pa.Schema) -> None:
    """Raises ValueError where a column of values cannot be made: no field at all, or nothing known of one."""
    if not len(schema):
        raise ValueError("it has no fields")
    for field, as_settled in zip(schema, settled(schema), strict=True):
        if field.type != as_settled.type:
            raise ValueError(f"field {field.name} is {field.type}, which can hold no value")


def supported(type_: pa.DataType, path: str) -> pa.DataType:
    """The nearest type of ours for an Arrow type.  Raises UnfitError where a value could change its meaning."""
    types = pa.types
    if types.is_dictionary(type_):
        return supported(type_.value_type, path)
    if types.is_struct(type_):
        return pa.struct([pa.field(f.name, supported(f.type, joined(path, f.name))) for f in type_])
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return pa.list_(supported(type_.value_type, f"{path}[]"))
    if types.is_map(type_) and types.is_string(type_.key_type):
        return pa.map_(pa.string(), supported(type_.item_type, f"{path} value"))
    if types.is_timestamp(type_) and type_.tz is not None:
        return MILLIS if type_.unit in ("s", "ms") else MICROS
    for belongs, ours in _NEAREST:
        if belongs(type_):
            return ours
    if types.is_decimal128(type_) and type_.scale >= 0:
        return type_
    why = "times need a time zone" if types.is_timestamp(type_) else "cast it to one that is supported"
    raise UnfitError(f"field {path} has the type {type_}: {why}")


_NEAREST: Sequence[tuple[Callable[[pa.DataType], bool], pa.DataType]] = (
    (pa.types.is_null, pa.null()),
    (pa.types.is_boolean, pa.bool_()),
    (lambda t: t in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()), pa.int32()),
    (lambda t: t in (pa.int64(), pa.uint32(), pa.uint64()), pa.int64()),
    (lambda t: t in (pa.float16(), pa.float32()), pa.float32()),
    (pa.types.is_float64, pa.float64()),
    (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t), pa.string()),
    (lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_binary_view(t), pa.binary()),
    (pa.types.is_date, pa.date32()),
)


def _inferred_fields(rows: Sequence[Any], path: str) -> list[pa.Field]:
    found = mappings(rows)
    names = list(dict.fromkeys(chain.from_iterable(found)))
    if strange := next((name for name in names if not isinstance(name, str)), None):
        raise UnfitError(f"field {joined(path, strange)}: a field's name must be a str")
    return [pa.field(n, _inferred([row.get(n) for row in found], joined(path, n))) for n in names]


def _inferred(values: Sequence[Any], path: str) -> pa.DataType:
    types = []
    for kind in sorted(set(map(type, values)) - {type(None)}, key=lambda kind: kind.__name__):
        types.append(_of_kind(kind, [v for v in values if type(v) is kind], path))
    return reduce(lambda a, b: united_types(a, b, path), types, pa.null())


def _of_kind(kind: type, values: list[Any], path: str) -> pa.DataType:
    if path.count(".") + path.count("[]") > MAX_DEPTH:
        raise UnfitError(f"field {path[:60]}... is nested more than {MAX_DEPTH} deep")
    if row_kind(kind):
        return pa.struct(_inferred_fields(values, path))
    if issubclass(kind, (list, tuple)):
        return pa.list_(_inferred(list(chain.from_iterable(values)), f"{path}[]"))
    if issubclass(kind, Decimal):
        return _decimal(values, path)
    for leaf, type_ in _LEAVES.items():
        if issubclass(kind, leaf):
            return type_
    raise TypeError(f"field {path} is a {kind.__name__}, for which there is no type of column")


def _decimal(values: Iterable[Decimal], path: str) -> pa.DataType:
    exponents = {value.as_tuple().exponent for value in values}
    scales = [max(0, -e) for e in exponents if isinstance(e, int)]
    if len(scales) < len(exponents) or max(scales) > MAX_DIGITS:
        raise UnfitError(f"field {path}: a Decimal must be a number of at most {MAX_DIGITS} digits")
    return pa.decimal128(MAX_DIGITS, max(scales))


def _settled(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_null(type_):
        return pa.string()
    if type_ == EMPTY_OBJECT:
        return pa.map_(pa.string(), pa.string())
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(_settled(field.type)) for field in type_])
    if pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(_settled(type_.value_type)))
    if pa.types.is_map(type_):
        return pa.map_(pa.string(), type_.item_field.with_type(_settled(type_.item_type)))
    return type_
