"""Rows to columns: every value of every type arrives, and whatever would change on the way is refused."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.formats import UnfitError
from streaming.formats.columns import from_rows
from streaming.formats.schema_text import MICROS, MILLIS
from streaming.formats.tabular import to_columns
from tests.unit.typed_rows import SCHEMAS, UTC, Account, Point, rows_of


class Colour(str, enum.Enum):
    RED = "red"


POINT = pa.schema([("x", pa.int64()), ("y", pa.int64())])
STRICT = pa.schema([pa.field("a", pa.int64(), nullable=False)])
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=UTC)


def one(type_: pa.DataType, value: Any) -> Any:
    """What a column of the type makes of the value."""
    return from_rows([{"a": value}], pa.schema([("a", type_)])).column(0)[0].as_py()


def values(columns: pa.Table | pa.RecordBatch) -> Any:
    return columns.to_pylist(maps_as_pydicts="strict")


@settings(deadline=None)
@given(st.data())
def test_every_value_arrives(data: st.DataObject) -> None:
    """Of every type at any depth: what is in the columns is what was in the rows; so it is by way of Arrow's own."""
    schema = data.draw(SCHEMAS)
    rows = data.draw(rows_of(schema))
    made = from_rows(rows, schema)
    made.validate(full=True)
    assert [(f.name, f.nullable) for f in made.schema] == [(f.name, f.nullable) for f in schema]
    assert values(made) == rows
    for arrow in (made, pa.Table.from_batches([made])):
        assert values(to_columns(arrow, schema)) == rows


@pytest.mark.parametrize(
    "row", [{"x": 1, "y": None}, {"x": 1}, Point(1), Account(1), (1, None), {"y": None, "x": 1}], ids=repr
)
def test_rows_of_every_kind(row: Any) -> None:
    """A dict in any order, a missing field as null, a NamedTuple, a dataclass, a tuple in the schema's order; mixed."""
    expected = [{"x": 1, "y": None}, {"x": 2, "y": 3}]
    assert from_rows([row, {"x": 2, "y": 3}], POINT).to_pylist() == expected
    if isinstance(row, tuple) and not isinstance(row, Point):
        return  # within a row, a tuple is a list
    nested = pa.schema([("p", pa.struct(list(POINT)))])
    assert from_rows([{"p": row}, {"p": None}], nested).to_pylist() == [{"p": expected[0]}, {"p": None}]


@pytest.mark.parametrize(
    ("type_", "value", "kept"),
    [
        (pa.float64(), 3, 3.0),
        (pa.float32(), 0.1, pytest.approx(0.1)),
        (pa.float64(), float("inf"), float("inf")),
        (pa.float32(), float("-inf"), float("-inf")),
        (pa.decimal128(5, 2), 7, Decimal("7.00")),
        (pa.decimal128(5, 2), Decimal("1.5"), Decimal("1.50")),
        (pa.decimal128(5, 2), Decimal("1.500"), Decimal("1.50")),
        (MICROS, dt.datetime(2026, 11, 20, 14, tzinfo=dt.timezone(dt.timedelta(hours=2))), NOON),
        (MILLIS, NOON, NOON),
        (pa.string(), Colour.RED, "red"),
        (pa.list_(pa.int64()), (1, None), [1, None]),
    ],
)
def test_what_means_the_same_is_taken(type_: pa.DataType, value: Any, kept: Any) -> None:
    """An int where a float or decimal of that value is meant, an instant in another zone, a tuple as list."""
    assert one(type_, value) == kept


UNFIT: list[tuple[pa.DataType, Any]] = [
    (pa.int32(), 2**31),
    (pa.int64(), 2**63),
    (pa.int64(), 1.0),
    (pa.int64(), 1.5),
    (pa.int64(), True),
    (pa.int64(), "1"),
    (pa.int64(), Decimal(1)),
    (pa.bool_(), 1),
    (pa.float64(), 2**53 + 1),
    (pa.float64(), "1.5"),
    (pa.float64(), True),
    (pa.float32(), 1e300),
    (pa.string(), 1),
    (pa.string(), b"a"),
    (pa.string(), "\ud800"),
    (pa.binary(), "a"),
    (pa.binary(), bytearray(b"a")),
    (pa.decimal128(5, 2), Decimal("1.005")),
    (pa.decimal128(5, 2), Decimal("1000")),
    (pa.decimal128(5, 2), 1000),
    (pa.decimal128(5, 2), Decimal("NaN")),
    (pa.decimal128(5, 2), 1.5),
    (MICROS, dt.datetime(2026, 11, 20)),
    (MICROS, dt.date(2026, 11, 20)),
    (MICROS, 1764547200),
    (MICROS, "2026-11-20T00:00:00Z"),
    (MILLIS, NOON.replace(microsecond=1)),
    (pa.date32(), NOON),
    (pa.date32(), "2026-11-20"),
    (pa.struct([("x", pa.int64())]), {"x": 1, "z": 2}),
    (pa.struct([("x", pa.int64())]), {"x": "1"}),
    (pa.struct([("x", pa.int64())]), [1]),
    (pa.struct([("x", pa.int64())]), (1, 2)),
    (pa.struct([("x", pa.int64())]), "x"),
    (pa.list_(pa.int64()), [1, "2"]),
    (pa.list_(pa.int64()), 1),
    (pa.list_(pa.string()), "ab"),
    (pa.list_(pa.int64()), {1: 2}),
    (pa.list_(pa.int64()), Point(1, 2)),
    (pa.list_(pa.field("item", pa.int64(), nullable=False)), [None]),
    (pa.map_(pa.string(), pa.int64()), {"k": "v"}),
    (pa.map_(pa.string(), pa.int64()), {1: 1}),
    (pa.map_(pa.string(), pa.int64()), [("k", 1)]),
]


@pytest.mark.parametrize(("type_", "value"), UNFIT, ids=str)
def test_what_would_change_is_refused(type_: pa.DataType, value: Any) -> None:
    """Nothing is rounded, cut, parsed or guessed, and the message names the field."""
    with pytest.raises((UnfitError, TypeError), match=r"\ba\b|for the 1 fields") as raised:
        one(type_, value)
    assert isinstance(raised.value, UnfitError)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"x": 1, "z": None}, "field z is not in the schema"),
        ({"x": 1, 5: 1}, "field 5 is not in the schema"),
        ((1,), "1 values for the 2 fields x, y"),
        ("x", "not str"),
        (b"x", "not bytes"),
        (1, "not int"),
        (None, "not NoneType"),
        ([("x", 1)], "not list"),
    ],
)
def test_rows_that_are_none_of_the_table(row: Any, told: str) -> None:
    """An unknown field is never dropped, also one that is null; a bare value is no row."""
    with pytest.raises((UnfitError, TypeError), match=told):
        from_rows([{"x": 1}, row], POINT)


@pytest.mark.parametrize("rows", [[{}], [{"a": None}], pa.table({"b": [1]}).select([]).append_column("a", [[None]])])
def test_a_field_that_never_is_null(rows: Any) -> None:
    """Neither null nor missing, also where pyarrow would let it pass."""
    with pytest.raises(UnfitError, match="field a"):
        to_columns(rows, STRICT)


def test_a_missing_column_of_a_strict_field() -> None:
    """An Arrow table without it is refused, and one without a nullable one gets nulls."""
    table = pa.table({"x": [1, 2]})
    with pytest.raises(UnfitError, match="field a is missing"):
        to_columns(table, pa.schema([("x", pa.int64()), *STRICT]))
    assert to_columns(table, POINT).to_pylist() == [{"x": 1, "y": None}, {"x": 2, "y": None}]


@pytest.mark.parametrize(
    ("column", "type_", "kept"),
    [
        (pa.array([1], pa.int8()), pa.int64(), 1),
        (pa.array([1], pa.int64()), pa.int32(), 1),
        (pa.array([1], pa.int64()), pa.float64(), 1.0),
        (pa.array([1], pa.int64()), pa.decimal128(21, 2), Decimal("1.00")),
        (pa.array([0.5]), pa.float32(), 0.5),
        (pa.array(["a"]).dictionary_encode(), pa.string(), "a"),
        (pa.array(["a"], pa.large_string()), pa.string(), "a"),
        (pa.array([NOON], pa.timestamp("s", "Europe/Vienna")), MICROS, NOON),
        (pa.array([None], pa.null()), pa.int64(), None),
        (pa.array([[1]], pa.large_list(pa.int32())), pa.list_(pa.int64()), [1]),
        (pa.array([{"x": 1}]), pa.struct([("x", pa.int64()), ("y", pa.string())]), {"x": 1, "y": None}),
    ],
    ids=str,
)
def test_arrow_columns_of_other_types(column: pa.Array, type_: pa.DataType, kept: Any) -> None:
    """Taken where the values are the same in the schema's type."""
    schema = pa.schema([("a", type_)])
    for rows in (pa.table({"a": column}), pa.RecordBatch.from_arrays([column], ["a"])):
        made = to_columns(rows, schema)
        assert (made.schema, made.to_pylist()) == (schema, [{"a": kept}])


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (pa.array([2**31]), pa.int32()),
        (pa.array([1.0]), pa.int64()),
        (pa.array(["1"]), pa.int64()),
        (pa.array([1]), pa.string()),
        (pa.array([1]), pa.bool_()),
        (pa.array([2**53 + 1]), pa.float64()),
        (pa.array([1e300]), pa.float32()),
        (pa.array([b"a"]), pa.string()),
        (pa.array(["a"]), pa.binary()),
        (pa.array([b"\xff"]).view(pa.string()), pa.string()),
        (pa.array([Decimal("1.005")]), pa.decimal128(5, 2)),
        (pa.array([Decimal("1000.0")]), pa.decimal128(5, 2)),
        (pa.array([NOON.replace(tzinfo=None)]), MICROS),
        (pa.array([NOON.replace(microsecond=1)]), MILLIS),
        (pa.array([NOON]), pa.date32()),
        (pa.array([1]), MICROS),
        (pa.array([2**63], pa.uint64()), pa.int64()),
        (pa.array([{"x": 1, "z": 1}]), pa.struct([("x", pa.int64())])),
        (pa.array([dt.time(1)]), pa.int64()),
    ],
    ids=str,
)
def test_arrow_columns_that_would_change(column: pa.Array, type_: pa.DataType) -> None:
    """Also what Arrow's own cast lets pass: text to numbers, whole floats to ints, naive times to UTC."""
    with pytest.raises(UnfitError, match=r"field a"):
        to_columns(pa.table({"a": column}), pa.schema([("a", type_)]))


def test_arrow_tables_with_strange_columns() -> None:
    """An unknown column is never dropped; of two with one name, none is chosen."""
    with pytest.raises(UnfitError, match="field z is not in the schema"):
        to_columns(pa.table({"x": [1], "z": [1]}), POINT)
    with pytest.raises(UnfitError, match="two columns of one name"):
        to_columns(pa.Table.from_arrays([pa.array([1])] * 2, ["x", "x"]), POINT)
