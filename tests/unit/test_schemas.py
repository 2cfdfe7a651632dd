"""Schemas: the text says all of it, inference takes every row it saw, and what cannot be is refused with the reason."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.formats import UnfitError, open_format
from streaming.formats.as_is import AS_IS_SCHEMA
from streaming.formats.columns import from_rows
from streaming.formats.schema_text import MICROS, MILLIS, from_json, to_json
from streaming.formats.schemas import infer, settled
from streaming.formats.unions import unify
from tests.unit.typed_rows import ODD_SCHEMAS, TEXT, UTC, Account, Point

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=UTC)


def avsc(*fields: Any, **more: Any) -> str:
    """A user's schema file."""
    return json.dumps({"type": "record", "name": "Order", "fields": fields, **more})


def found(*values: Any) -> pa.DataType:
    """The type that is inferred for a column of these values."""
    return infer([{"a": value} for value in values]).field("a").type


@settings(deadline=None)
@given(ODD_SCHEMAS)
def test_text_and_back(schema: pa.Schema) -> None:
    """Every type at any depth, nullable or not, and any name: from Arrow to text to Arrow without a difference."""
    text = to_json(schema)
    back = from_json(text)
    assert back.equals(schema, check_metadata=True)
    assert to_json(back) == text


def test_text_of_records_as_they_are() -> None:
    """It is a schema like any other; the text of a column without a type yet is one too."""
    assert from_json(to_json(AS_IS_SCHEMA)) == AS_IS_SCHEMA
    assert from_json(to_json(pa.schema([("a", pa.null())]))) == pa.schema([("a", pa.null())])


def test_text_keeps_the_name_of_a_users_record() -> None:
    """Avro readers compare it."""
    text = to_json(from_json(avsc({"name": "a", "type": "int"}, namespace="com.example")))
    assert json.loads(text)["name"] == "com.example.Order"
    assert to_json(from_json(text)) == text


def test_a_users_schema() -> None:
    """Docs, defaults, aliases, namespaces and names used again are understood; unions in both orders."""
    address = {"type": "record", "name": "Address", "fields": [{"name": "zip", "type": "string"}]}
    text = avsc(
        {"name": "id", "type": "long", "doc": "the number", "aliases": ["number"]},
        {"name": "name", "type": ["null", "string"], "default": None},
        {"name": "note", "type": ["string", "null"], "default": "none"},
        {"name": "bill", "type": address},
        {"name": "ship", "type": ["null", "Address"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        doc="orders",
        namespace="com.example",
    )
    assert from_json(text).remove_metadata() == pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("name", pa.string()),
            pa.field("note", pa.string()),
            pa.field("bill", pa.struct([pa.field("zip", pa.string(), nullable=False)]), nullable=False),
            pa.field("ship", pa.struct([pa.field("zip", pa.string(), nullable=False)])),
            pa.field("at", MILLIS, nullable=False),
            pa.field("sum", pa.decimal128(9, 2), nullable=False),
            pa.field("key", pa.string(), nullable=False),
            pa.field("tags", pa.map_(pa.string(), pa.field("value", pa.int32(), nullable=False)), nullable=False),
        ]
    )


def test_the_schema_in_the_readme() -> None:
    """Every format with columns that may be nested takes it."""
    readme = (Path(__file__).resolve().parents[2] / "README.rst").read_text()
    start = readme.index('{"type": "record", "name": "Payment"')
    text = readme[start : readme.index("]}]}", start) + 4]
    for name in ("parquet", "avro"):
        open_format(name).check_schema(from_json(text))


RECURSIVE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no Avro schema"),
        ("5", "no Avro schema"),
        ("[]", "must be an Avro schema of type record"),
        ('"string"', "must be an Avro schema of type record"),
        ('{"type": "array", "items": "int"}', "must be an Avro schema of type record"),
        ('{"type": "record", "fields": []}', "no Avro schema"),
        (avsc({"name": "a"}), "missing 'type'"),
        (avsc({"type": "int"}), "no Avro schema"),
        (avsc({"name": "a", "type": "Money"}), "Money"),
        (avsc({"name": "a", "type": "int"}, {"name": "a", "type": "int"}), "the record has two fields a"),
        (avsc({"name": "a", "type": ["int", "string"]}), "a is a union of other than null and one type"),
        (avsc({"name": "a", "type": ["null", "int", "string"]}), "a is a union of other"),
        (avsc({"name": "a", "type": ["int"]}), "a is a union of other"),
        (avsc({"name": "a", "type": RECURSIVE}), "a.next is of the record Node again: recursive"),
        (avsc({"name": "a", "type": {"type": "enum", "name": "E", "symbols": ["X"]}}), "a is of type enum"),
        (avsc({"name": "a", "type": {"type": "fixed", "name": "F", "size": 4}}), "a is of type fixed"),
        (avsc({"name": "a", "type": {"type": "int", "logicalType": "time-millis"}}), "a is of type time-millis"),
        (avsc({"name": "a", "type": {"type": "long", "logicalType": "local-timestamp-micros"}}), "local-timestamp"),
        (avsc({"name": "a", "type": {"type": "bytes", "logicalType": "decimal", "precision": 39}}), "precision"),
        (avsc({"name": "a", "type": {"type": "array", "items": ["int", "string"]}}), r"a\[\] is a union"),
    ],
)
def test_schemas_that_are_refused(text: str, told: str) -> None:
    """No column could be it; the message says which part."""
    with pytest.raises(ValueError, match=told):
        from_json(text)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([None], pa.null()),
        ([True, None], pa.bool_()),
        ([1, 2**62], pa.int64()),
        ([1, 0.5, None], pa.float64()),
        (["a"], pa.string()),
        ([b"a"], pa.binary()),
        ([dt.date(2026, 11, 20)], pa.date32()),
        ([NOON], MICROS),
        ([Decimal("1.10"), Decimal("5E+3")], pa.decimal128(38, 2)),
        ([Decimal("1.10"), 5], pa.decimal128(38, 2)),
        ([[], [1], [None, 0.5]], pa.list_(pa.float64())),
        ([(1, 2)], pa.list_(pa.int64())),
        ([{"x": 1}, {"y": "a"}, None], pa.struct([("x", pa.int64()), ("y", pa.string())])),
        ([Point(1), {"x": 0.5}], pa.struct([("x", pa.float64()), ("y", pa.null())])),
        (
            [Account(1, Point(2))],
            pa.struct([("x", pa.int64()), ("y", pa.struct([("x", pa.int64()), ("y", pa.null())]))]),
        ),
        ([{}], pa.struct([])),
    ],
    ids=str,
)
def test_types_of_values(values: list[Any], type_: pa.DataType) -> None:
    """The narrowest that takes them all; in one step or by way of each alone."""
    assert found(*values) == type_
    each = unify(infer([{"a": value}]) for value in values)
    assert each.field("a").type == type_


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, "a"], "field a is int64 in some rows and string in others"),
        ([True, 1], "field a is bool in some rows and int64 in others"),
        ([0.5, Decimal(1)], "field a is"),
        ([dt.date(2026, 1, 1), NOON], "field a is"),
        ([[1], {"x": 1}], "field a is"),
        ([[1, "a"]], r"field a\[\] is"),
        ([{"x": 1}, {"x": "a"}], "field a.x is"),
        ([Decimal("NaN")], "field a: a Decimal must be a number"),
        ([Decimal("1E-39")], "field a: a Decimal must be a number"),
        ([object()], "field a is a object"),
        ([1j], "field a is a complex"),
        ([{1: 2}], "field a.1: a field's name must be a str"),
        ([{"\ud800": 2}], "name cannot be written in UTF-8"),
    ],
)
def test_values_without_a_type(values: list[Any], told: str) -> None:
    """The message names the field and what was found."""
    with pytest.raises((UnfitError, TypeError), match=told):
        found(*values)


@pytest.mark.parametrize("row", [(1, 2), "a", b"a", 1, None, [1]])
def test_rows_without_names(row: Any) -> None:
    """What has no field names has no schema."""
    with pytest.raises(TypeError):
        infer([row])


def test_rows_nested_without_end() -> None:
    """A record that nests deeper than a table does is refused before Python gives up."""
    row: dict[str, Any] = {}
    for _ in range(200):
        row = {"a": row}
    with pytest.raises(UnfitError, match="nested more than 50 deep"):
        infer([row])


def test_order_of_fields() -> None:
    """That of their first appearance, whatever comes later; all may be null."""
    schema = unify([infer([{"b": 1}, {"c": 1, "a": 1}]), infer([{"d": 1, "a": 1}])])
    assert schema.names == ["b", "c", "a", "d"]
    assert all(field.nullable for field in schema)


def test_inferred_from_arrow() -> None:
    """Narrow, encoded and zoned types become ours, all may be null; one without an instant is refused."""
    table = pa.table(
        {
            "a": pa.array([1], pa.int16()),
            "b": pa.array(["x"]).dictionary_encode(),
            "c": pa.array([NOON], pa.timestamp("ns", "Europe/Vienna")),
            "d": pa.array([[1.5]], pa.large_list(pa.float32())),
            "e": pa.array([Decimal("1.5")], pa.decimal128(4, 1)),
        }
    )
    types = [pa.int32(), pa.string(), MICROS, pa.list_(pa.float32()), pa.decimal128(4, 1)]
    assert infer(table) == infer(table.to_batches()[0]) == pa.schema(list(zip("abcde", types, strict=True)))
    for type_ in (pa.timestamp("us"), pa.time64("us"), pa.binary(4), pa.duration("s"), pa.decimal256(50, 1)):
        with pytest.raises(UnfitError, match="field a has the type"):
            infer(pa.table({"a": pa.nulls(1, type_)}))


def test_settled() -> None:
    """What nothing is known of takes text from then on, at any depth; an empty object becomes one of texts."""
    types = {"a": None, "b": {"c": None}, "d": [], "e": {}, "f": [{}]}
    texts = pa.map_(pa.string(), pa.string())
    schema = settled(infer([types]))
    assert schema == pa.schema(
        [
            ("a", pa.string()),
            ("b", pa.struct([("c", pa.string())])),
            ("d", pa.list_(pa.string())),
            ("e", texts),
            ("f", pa.list_(texts)),
        ]
    )
    assert from_rows([types], schema).to_pylist(maps_as_pydicts="strict") == [types]


@pytest.mark.parametrize("row", [{}, {"a": None}, {"a": {}}, {"a": [{}]}, {"a": {"b": [None]}}], ids=str)
def test_what_is_not_settled(row: dict[str, Any]) -> None:
    """It travels from task to driver as text; no format takes it before it is settled, nor one without fields."""
    schema = infer([row])
    assert from_json(to_json(schema)) == schema
    for name in ("parquet", "avro", "csv"):
        with pytest.raises(ValueError, match=r"has no fields|field a is .*, which can hold no value"):
            open_format(name).check_schema(schema)
    if row:
        open_format("avro").check_schema(settled(schema))


def values(depth: int = 2) -> st.SearchStrategy[Any]:
    """What a function's rows may hold, each kind by itself so that some can be united."""
    leaf = st.sampled_from(
        [
            st.none(),
            st.booleans(),
            st.integers(-(2**53), 2**53),
            st.floats(allow_nan=False),
            TEXT,
            st.binary(max_size=3),
        ]
    ).flatmap(lambda strategy: strategy)
    return st.recursive(leaf, lambda v: st.lists(v, max_size=2) | st.dictionaries(TEXT, v, max_size=2), max_leaves=4)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), values(), max_size=3), min_size=1, max_size=4))
def test_every_row_fits_the_schema_found(rows: list[dict[str, Any]]) -> None:
    """If there is one: with it all rows become columns; found in parts and united it is the same."""
    try:
        schema = infer(rows)
    except UnfitError:
        with pytest.raises(UnfitError):
            unify([infer([row]) for row in rows])
        return
    assert unify([infer([row]) for row in rows]) == schema
    assert sorted_names(unify([infer([row]) for row in reversed(rows)])) == sorted_names(schema)
    if schema.names:
        made = from_rows(rows, settled(schema)).to_pylist(maps_as_pydicts="strict")
        assert [given_fields(m, r) for m, r in zip(made, rows, strict=True)] == rows


def sorted_names(fields: Iterable[pa.Field]) -> Any:
    """A schema without the order of its fields."""
    return sorted((f.name, sorted_type(f.type)) for f in fields)


def sorted_type(type_: pa.DataType) -> Any:
    if pa.types.is_struct(type_):
        return str(sorted_names(type_))
    return f"list {sorted_type(type_.value_type)}" if pa.types.is_list(type_) else str(type_)


def given_fields(made: Any, row: Any) -> Any:
    """`made` without the fields that are null because `row` has none."""
    if isinstance(row, dict):
        assert all(made[name] is None for name in made if name not in row)
        return {name: given_fields(made[name], row[name]) for name in row}
    return [given_fields(m, r) for m, r in zip(made, row, strict=True)] if isinstance(row, list) else made
