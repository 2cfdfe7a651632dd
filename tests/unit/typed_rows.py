"""Rows of every kind, and hypothesis strategies: schemas of every supported type, rows that fit.  No tests."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
from hypothesis import strategies as st

from streaming.formats.schema_text import MICROS, MILLIS


class Point(NamedTuple):
    x: int
    y: Any = None


@dataclass
class Account:
    x: int
    y: Any = None


UTC = dt.timezone.utc
LEAVES = [
    pa.bool_(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    pa.date32(),
    MILLIS,
    MICROS,
    pa.decimal128(9, 2),
    pa.decimal128(38, 0),
]
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
AVRO_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)


def fields(types: st.SearchStrategy[pa.DataType], names: st.SearchStrategy[str] = AVRO_NAMES) -> Any:
    """One to four fields of different names, some of which never are null."""
    field = st.builds(pa.field, names, types, st.booleans())
    return st.lists(field, min_size=1, max_size=4, unique_by=lambda f: f.name)


def nested(types: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    return st.one_of(
        fields(types).map(pa.struct),
        st.builds(lambda t, null: pa.list_(pa.field("item", t, null)), types, st.booleans()),
        st.builds(lambda t, null: pa.map_(pa.string(), pa.field("value", t, null)), types, st.booleans()),
    )


TYPES = st.recursive(st.sampled_from(LEAVES), nested, max_leaves=4)
FLAT_SCHEMAS = fields(st.sampled_from(LEAVES)).map(pa.schema)
SCHEMAS = fields(TYPES).map(pa.schema)
ODD_SCHEMAS = fields(TYPES, TEXT).map(pa.schema)


def rows_of(schema: pa.Schema) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Complete rows, as pyarrow's to_pylist gives them back."""
    return st.lists(st.fixed_dictionaries({f.name: values_of(f) for f in schema}), max_size=5)


def values_of(field: pa.Field) -> st.SearchStrategy[Any]:
    values = _values(field.type)
    return st.none() | values if field.nullable else values


def _values(type_: pa.DataType) -> st.SearchStrategy[Any]:
    if pa.types.is_struct(type_):
        return st.fixed_dictionaries({f.name: values_of(f) for f in type_})
    if pa.types.is_list(type_):
        return st.lists(values_of(type_.value_field), max_size=3)
    if pa.types.is_map(type_):
        return st.dictionaries(TEXT, values_of(type_.item_field), max_size=3)
    if pa.types.is_decimal(type_):
        top = 10**type_.precision - 1
        return st.integers(-top, top).map(lambda n: Decimal(f"{n}E-{type_.scale}"))
    return _SIMPLE[type_]


def _times(step: int) -> st.SearchStrategy[dt.datetime]:
    zones = st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=-3, minutes=-30))])
    times = st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29), timezones=zones)
    return times.map(lambda t: t.replace(microsecond=t.microsecond // step * step))


_SIMPLE: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): TEXT,
    pa.binary(): st.binary(max_size=6),
    pa.date32(): st.dates(),
    MILLIS: _times(1000),
    MICROS: _times(1),
}
