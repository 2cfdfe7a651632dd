"""From records to rows: what a function may return, what is counted, and which record an error names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from offsets.errors import BadRecordError, ConfigError
from streaming.formats import open_format
from streaming.records import Record, from_message
from streaming.rows import Function, Routed, RowCounts, grouped, load_function
from streaming.sinks.staging import Block

TEXT = open_format("text")


def chunk(*values: bytes | None) -> list[Message]:
    return [Message("t", 1, 10 + n, value=value, timestamp=(1, 1700)) for n, value in enumerate(values)]


def returning(results: dict[bytes, Any]) -> Function:
    return lambda record: results[record.value]  # type: ignore[index]


def test_a_record_has_kafkas_fields() -> None:
    """Null and empty are told apart."""
    message = Message("t", 1, 2, key=b"", value=None, headers=[("h", None)], timestamp=(2, 5))
    assert from_message(message) == Record("t", 1, 2, 5, 2, b"", None, (("h", None),))
    assert from_message(Message("t", 1, 2)).headers == ()


def test_each_way_to_return_rows_is_taken_and_counted() -> None:
    """None filters; one row, a list, a generator, routed rows; bad ones are counted per folder and per record."""
    function = returning(
        {
            b"none": None,
            b"one": "1",
            b"empty": [],
            b"list": ["2", Routed("x/y=1", "3")],
            b"generator": (row for row in ("4", "5")),
            b"bad": [Routed("bad", "6", bad=True), Routed("bad", "7", bad=True)],
            b"dot": Routed("../_x", "8"),
        }
    )
    counts = RowCounts(records=100)
    groups = grouped(function, chunk(b"none", b"one", b"empty", b"list", b"generator", b"bad", b"dot"), TEXT, counts)
    assert groups == {
        "": Block(b"1\n2\n4\n5\n", 4, TEXT),
        "x/y=1": Block(b"3\n", 1, TEXT),
        "bad": Block(b"6\n7\n", 2, TEXT, bad=2),
        "%2E./%5Fx": Block(b"8\n", 1, TEXT),
    }
    assert counts == RowCounts(records=107, filtered=2, bad=1)


def test_without_a_function_all_goes_to_the_root() -> None:
    """Counted by records, whatever the items are; an empty chunk makes no file."""
    counts = RowCounts()
    groups = grouped(None, chunk(b"a", b"b"), TEXT, counts)
    assert {folder: rows.count for folder, rows in groups.items()} == {"": 2}
    assert grouped(None, [], TEXT, counts) == {}
    assert grouped(str, [], TEXT, counts) == {}
    assert counts == RowCounts(records=2)


def test_a_bad_value_names_its_record() -> None:
    """Topic, partition, offset and a remedy."""
    with pytest.raises(BadRecordError, match="t-1 offset 11") as raised:
        grouped(None, chunk(b"a", None), TEXT, RowCounts())
    assert (raised.value.topic, raised.value.partition, raised.value.offset) == ("t", 1, 11)
    assert raised.value.remedy


def failing(record: Record) -> Iterator[str]:
    yield "fine"
    int(record.value or b"")


def test_an_error_of_the_function_names_function_line_and_record() -> None:
    """Also one raised half-way through a generator."""
    line = failing.__code__.co_firstlineno + 2
    with pytest.raises(BadRecordError, match="t-1 offset 11") as raised:
        grouped(failing, chunk(b"1", b"x"), TEXT, RowCounts())
    assert f"failing raised ValueError: invalid literal for int() with base 10: b'x' at {__file__}:{line}" in str(
        raised.value
    )
    assert isinstance(raised.value.__cause__, ValueError)


def test_an_error_deep_in_a_library_names_the_users_line() -> None:
    """Not the library's."""

    def function(record: Record) -> Any:
        return Path(str(record.topic)).read_bytes()

    with pytest.raises(BadRecordError, match=f"{__file__}:{function.__code__.co_firstlineno + 1}"):
        grouped(function, chunk(b"x"), TEXT, RowCounts())


@pytest.mark.parametrize(
    "result", [1, ("a", "b"), {"a"}, "a\nb", Routed("x/" * 2000, "a"), Routed(None, "a"), object()]
)  # type: ignore[arg-type]
def test_a_row_that_cannot_be_written_is_a_bad_record(result: Any) -> None:
    """Types and folders are checked where the record is still known."""
    with pytest.raises(BadRecordError, match="returned what cannot be written") as raised:
        grouped(lambda record: result, chunk(b"x"), TEXT, RowCounts())
    assert raised.value.offset == 10


def test_the_line_named_is_that_of_the_users_own_folder() -> None:
    """Spark runs a copy of a shipped module in a folder that nobody knows: its path says nothing."""
    names: dict[str, Any] = {}
    exec(compile("def f(record):\n    raise KeyError(1)\n", "/tmp/spark-1/userFiles-2/mine.py", "exec"), names)
    with pytest.raises(BadRecordError, match=r" at mine\.py:2$"):
        grouped(names["f"], chunk(b"x"), TEXT, RowCounts())


def test_a_function_that_exits_is_a_bad_record() -> None:
    """sys.exit in a function would otherwise end the batch without a word of the record."""
    with pytest.raises(BadRecordError, match=r"offset 10: .* raised SystemExit: 3"):
        grouped(lambda record: sys.exit(3), chunk(b"x"), TEXT, RowCounts())


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def f(r) return 1", r"SyntaxError: .*rows_wrong.*line 1"),
        ("x = 1\n1 / 0", r"ZeroDivisionError: .*rows_wrong\w*\.py:2"),
        ("import sys\nsys.exit(0)", r"SystemExit: 0 at .*rows_wrong\w*\.py:2"),
        ("import no_such_library", r"No module named 'no_such_library' at .*rows_wrong\w*\.py:1"),
    ],
)
def test_a_module_that_cannot_be_imported_is_a_configuration_error(
    source: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own error and line are told: it is the user's mistake, and never the end of the run without a line."""
    module = f"rows_wrong_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=told):
        load_function(f"{module}:f")


def test_functions_are_loaded_by_name() -> None:
    """A wrong name is a configuration error that repeats it."""
    assert load_function(None) is None
    assert load_function("json:dumps") is not None
    for name in ("no_such_module:f", "json:no_such", "json:__name__"):
        with pytest.raises(ConfigError, match=name):
            load_function(name)
