"""Several schemas, or types, to one that takes the rows of all.  Pure; a value may become wider, never another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import pyarrow as pa

from streaming.formats.base import UnfitError
from streaming.formats.columns import joined
from streaming.formats.schema_text import MICROS

MAX_DIGITS = 38


def unify(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """What takes the rows of all; fields in the order of their first appearance.  UnfitError if nothing can."""
    return pa.schema(reduce(lambda a, b: _fields(a, b, ""), map(list, schemas), []))


def united_types(a: pa.DataType, b: pa.DataType, path: str) -> pa.DataType:
    """What takes values of either type; `path` names the field.  UnfitError if nothing can."""
    types = pa.types
    if a == b or types.is_null(b):
        return a
    if types.is_null(a):
        return b
    if types.is_struct(a) and types.is_struct(b):
        return pa.struct(_fields(list(a), list(b), path))
    if types.is_list(a) and types.is_list(b):
        return pa.list_(united_types(a.value_type, b.value_type, f"{path}[]"))
    if types.is_map(a) and types.is_map(b):
        return pa.map_(pa.string(), united_types(a.item_type, b.item_type, f"{path} value"))
    if types.is_timestamp(a) and types.is_timestamp(b):
        return MICROS
    return _numbers(a, b, path)


def _fields(a: Sequence[pa.Field], b: Sequence[pa.Field], path: str) -> list[pa.Field]:
    fields = {field.name: field for field in a}
    for field in b:
        known = fields.get(field.name)
        type_ = united_types(known.type, field.type, joined(path, field.name)) if known else field.type
        fields[field.name] = pa.field(field.name, type_)
    return [pa.field(field.name, field.type) for field in fields.values()]


def _numbers(a: pa.DataType, b: pa.DataType, path: str) -> pa.DataType:
    both = (a, b)
    if all(map(pa.types.is_integer, both)):
        return pa.int64()
    if all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in both):
        return pa.float64()
    if all(pa.types.is_integer(t) or pa.types.is_decimal(t) for t in both):
        digits = [(_precision(t) - _scale(t), _scale(t)) for t in both]
        scale = max(s for _, s in digits)
        return pa.decimal128(min(MAX_DIGITS, max(d for d, _ in digits) + scale), scale)
    raise UnfitError(f"field {path} is {a} in some rows and {b} in others; set sink.schema to say which it is")


def _precision(type_: pa.DataType) -> int:
    return int(type_.precision) if pa.types.is_decimal(type_) else 19


def _scale(type_: pa.DataType) -> int:
    return int(type_.scale) if pa.types.is_decimal(type_) else 0
