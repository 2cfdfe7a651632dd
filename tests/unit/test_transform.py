"""What becomes of records: rows by folder, bad ones told apart exactly, whatever the function or the format does."""

from __future__ import annotations

import base64
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Message

from offsets.errors import BadRecordError, BatchError, ConfigError
from offsets.structs import OffsetRange
from streaming.formats import open_format
from streaming.layouts.folders import Layout
from streaming.records import Record, from_message
from streaming.rows import Routed
from streaming.run.stages import check_share
from streaming.sinks.staging import Block
from streaming.tasks.result import TaskResult
from streaming.transform import enrichment, recipe
from streaming.transform.blocks import MissingSchema
from streaming.transform.chunks import Chunk
from streaming.transform.enrichment import Setup, on_worker
from streaming.transform.inference import settled_schemas
from streaming.transform.pipeline import Pipeline
from streaming.transform.recipe import Recipe
from streaming.transform.user_code import load

TEXT, JSON, PARQUET = open_format("text"), open_format("json"), open_format("parquet")
Function = Callable[..., Any]


def chunk(*values: bytes | None) -> list[Message]:
    return [Message("t", 1, 10 + n, value=value, timestamp=(1, 1700)) for n, value in enumerate(values)]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pipeline]:
    """A pipeline of t-1 whose function is the one given."""

    def made(
        function: Function | None, format_: Any = TEXT, schemas: Mapping[str, str] = {}, **options: Any
    ) -> Pipeline:
        monkeypatch.setattr(recipe, "load", lambda option, name: function)
        cook = Recipe(format_, None if function is None else "jobs:row", **options)
        return cook.pipeline("t", 1, cook.blocks(schemas), None)

    return made


def contents(made: list[Mapping[str, Block]]) -> dict[str, Any]:
    """What goes into each directory."""
    found: dict[str, Any] = {}
    for blocks in made:
        for directory, block in blocks.items():
            found[directory] = found[directory] + block.content if directory in found else block.content
    return found


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_a_record_has_kafkas_fields() -> None:
    """Null and empty are told apart."""
    message = Message("t", 1, 2, key=b"", value=None, headers=[("h", None)], timestamp=(2, 5))
    assert from_message(message) == Record("t", 1, 2, 5, 2, b"", None, (("h", None),))
    assert from_message(Message("t", 1, 2)).headers == ()
    assert type(from_message(message)) is Record


def test_each_way_to_return_rows_is_taken_and_counted(use: Any) -> None:
    """None filters; one row, a list, a generator, routed rows; marked ones are counted per record and per file."""
    results = {
        b"none": None,
        b"one": "1",
        b"empty": [],
        b"list": ["2", Routed("x/y=1", "3")],
        b"generator": (row for row in ("4", "5")),
        b"bad": [Routed("bad", "6", bad=True), Routed("bad", "7", bad=True)],
        b"dot": Routed("../_x", "8"),
    }
    pipeline = use(lambda record: results[record.value])
    (rows, rejected) = pipeline.blocks(chunk(*results))
    assert rows == {
        "": Block(b"1\n2\n4\n5\n", 4, TEXT),
        "x/y=1": Block(b"3\n", 1, TEXT),
        "bad": Block(b"6\n7\n", 2, TEXT, bad=2),
        "%2E./%5Fx": Block(b"8\n", 1, TEXT),
    }
    assert rejected == {}
    assert (pipeline.records, pipeline.filtered, pipeline.marked, pipeline.rejected.count) == (7, 2, 1, 0)


def test_without_a_function_all_goes_to_the_root_or_by_time(use: Any) -> None:
    """One block a chunk; with a layout one for each folder; a record without a time is bad then."""
    assert contents(use(None).blocks(chunk(b"a", b"b"))) == {"": b"a\nb\n"}
    laid = use(None, layout=Layout("{topic}/%Y"), bad_records="skip")
    timeless = Message("t", 1, 13, value=b"c")
    assert contents(laid.blocks([*chunk(b"a", b"b"), timeless])) == {"t/1970": b"a\nb\n"}
    assert laid.rejected.first == "t-1 offset 13: the record has no timestamp"


def test_a_bad_value_names_its_record(use: Any) -> None:
    """Topic, partition, offset and the format's own remedy."""
    with pytest.raises(BadRecordError, match="t-1 offset 11") as raised:
        use(None).blocks(chunk(b"a", None))
    assert (raised.value.topic, raised.value.partition, raised.value.offset) == ("t", 1, 11)
    assert "sink.format = json" in raised.value.remedy


def failing(record: Record) -> Iterator[str]:
    yield "fine"
    int(record.value or b"")


def test_an_error_of_the_function_names_function_line_and_record(use: Any) -> None:
    """Also one raised half-way through a generator."""
    line = failing.__code__.co_firstlineno + 2
    with pytest.raises(BadRecordError, match="t-1 offset 11") as raised:
        use(failing).blocks(chunk(b"1", b"x"))
    told = f"jobs:row raised ValueError: invalid literal for int() with base 10: b'x' at {__file__}:{line}"
    assert told in str(raised.value)
    assert isinstance(raised.value.__cause__, ValueError)


def test_an_error_deep_in_a_library_names_the_users_line(use: Any) -> None:
    """Not the library's."""

    def function(record: Record) -> Any:
        return Path(str(record.topic)).read_bytes()

    with pytest.raises(BadRecordError, match=f"{__file__}:{function.__code__.co_firstlineno + 1}"):
        use(function).blocks(chunk(b"x"))


def test_the_line_named_is_that_of_the_users_own_folder(use: Any) -> None:
    """Spark runs a copy of a shipped module in a folder that nobody knows: its path says nothing."""
    names: dict[str, Any] = {}
    exec(compile("def f(record):\n    raise KeyError(1)\n", "/tmp/spark-1/userFiles-2/mine.py", "exec"), names)
    with pytest.raises(BadRecordError, match=r" at mine\.py:2$"):
        use(names["f"]).blocks(chunk(b"x"))


def test_a_function_that_exits_is_a_bad_record(use: Any) -> None:
    """sys.exit in a function would otherwise end the batch without a word of the record."""
    with pytest.raises(BadRecordError, match=r"offset 10: .* raised SystemExit: 3"):
        use(lambda record: sys.exit(3)).blocks(chunk(b"x"))


@pytest.mark.parametrize(
    "result",
    [1, ("a", "b"), {"a"}, "a\nb", Routed("x/" * 2000, "a"), Routed(None, "a"), object(), ["fine", 1]],  # type: ignore[arg-type]
)
@pytest.mark.parametrize("mode", ["record", "chunk"])
def test_a_row_that_cannot_be_written_is_a_bad_record(use: Any, result: Any, mode: str) -> None:
    """Types and folders; no row of that record is written, all of its neighbours' are."""

    def each(value: bytes | None) -> Any:
        return result if value == b"x" else str(value)

    def rows(records: Chunk) -> Any:
        return [row for v in records.values for row in (each(v) if isinstance(each(v), list) else [each(v)])]

    function = (lambda record: each(record.value)) if mode == "record" else rows
    with pytest.raises(BadRecordError, match="returned what cannot be written") as raised:
        use(function, mode=mode).blocks(chunk(b"a", b"x", b"b"))
    assert raised.value.offset == 11
    pipeline = use(function, mode=mode, bad_records="skip")
    assert contents(pipeline.blocks(chunk(b"a", b"x", b"b"))) == {"": b"b'a'\nb'b'\n"}
    assert (pipeline.records, pipeline.filtered, pipeline.rejected.count) == (3, 0, 1)


def test_the_quarantine_keeps_every_byte(use: Any) -> None:
    """Place, time, key, value and headers in base64, as text where they are UTF-8, and what was wrong."""
    headers = [("h", b"\xff"), ("h", None)]
    bad = Message("t", 1, 12, key=b"k\xc3\xa9", value=b"\xff\0", headers=headers, timestamp=(1, 1700))
    null = Message("t", 1, 13, key=None, value=None, timestamp=(1, 1701))

    def function(record: Record) -> Any:
        return {"v": record.value.decode(), "n": 1 / (record.offset - 11)}  # type: ignore[union-attr]

    pipeline = use(function, JSON, bad_records="quarantine")
    made = contents(pipeline.blocks([*chunk(b"a", b"zero"), bad, null]))
    assert lines(made[""]) == [{"v": "a", "n": -1.0}]
    first, second, third = lines(made["_quarantine/t"])
    assert (first["offset"], first["valueText"], base64.b64decode(first["value"])) == (11, "zero", b"zero")
    assert "ZeroDivisionError" in first["error"]
    assert {k: second[k] for k in ("topic", "partition", "offset", "timestamp")} == {
        "topic": "t",
        "partition": 1,
        "offset": 12,
        "timestamp": 1700,
    }
    assert (second["keyText"], base64.b64decode(second["value"]), second["valueText"]) == ("ké", b"\xff\0", None)
    assert second["headers"] == [
        {"key": "h", "value": base64.b64encode(b"\xff").decode(), "valueText": None},
        {"key": "h", "value": None, "valueText": None},
    ]
    assert (third["key"], third["value"]) == (None, None)
    assert pipeline.rejected.count == 3
    assert pipeline.rejected.first.startswith("t-1 offset 11: jobs:row raised ZeroDivisionError")
    assert "_quarantine/t" not in contents(pipeline.blocks(chunk(b"a"))), "each is written once"


def test_a_record_is_never_half_in_the_data(use: Any) -> None:
    """Of several rows in several folders one is unfit: none is written, the record waits in the quarantine."""
    bad = [Routed("a", "1"), Routed("b", "2\n"), "3"]
    pipeline = use(lambda r: bad if r.offset == 11 else Routed("a", "fine"), bad_records="quarantine")
    made = contents(pipeline.blocks(chunk(b"x", b"y", b"z")))
    assert made["a"] == b"fine\nfine\n"
    assert set(made) == {"a", "_quarantine/t"}
    assert [line["offset"] for line in lines(made["_quarantine/t"])] == [11]


def test_a_chunk_function_sees_columns(use: Any) -> None:
    """Every field of Kafka's records, in their order; records and Arrow where they are handier."""
    messages = [Message("t", 1, 7, value=b"v", key=b"k", headers=[("h", b"1")], timestamp=(1, 5)), Message("t", 1, 9)]
    seen = Chunk(messages)
    assert (len(seen), seen.topic, seen.partition, seen.offsets) == (2, "t", 1, [7, 9])
    assert (seen.values, seen.keys, seen.timestamps) == ([b"v", None], [b"k", None], [5, -1])
    assert [list(h) for h in seen.headers] == [[("h", b"1")], []]
    assert [r.offset for r in seen.records()] == seen.to_arrow().column("offset").to_pylist() == [7, 9]


def test_none_among_rows_is_a_bad_row_beside_a_table_too(use: Any) -> None:
    """Nothing that a function returns is dropped in silence because a table stands next to it."""

    def function(records: Chunk) -> list[Any]:
        return [pa.table({"value": ["a"] * len(records)}), None]

    pipeline = use(function, mode="chunk", bad_records="skip")
    assert contents(pipeline.blocks(chunk(b"1", b"2"))) == {}
    assert pipeline.rejected.count == 2


def test_a_chunk_is_called_again_record_by_record_only_when_it_fails(use: Any) -> None:
    """One call for a clean chunk; after a failure one for each record, so that exactly the bad ones are found."""
    calls: list[int] = []

    def function(records: Chunk) -> Iterator[str]:
        calls.append(len(records))
        for value in records.values:
            if value != b"none":
                yield str(int(value or b""))

    pipeline = use(function, mode="chunk", bad_records="skip")
    assert contents(pipeline.blocks(chunk(b"1", b"2", b"none"))) == {"": b"1\n2\n"}
    assert (calls, pipeline.filtered) == ([3], 1)
    assert contents(pipeline.blocks(chunk(b"3", b"x", b"none", b"4"))) == {"": b"3\n4\n"}
    assert (calls, pipeline.filtered) == ([3, 4, 1, 1, 1, 1], 2)
    assert (pipeline.records, pipeline.rejected.count) == (7, 1)
    assert pipeline.rejected.first.startswith("t-1 offset 11: jobs:row raised ValueError")


@pytest.mark.parametrize("mode", ["record", "chunk"])
def test_a_package_that_is_missing_is_no_records_fault(use: Any, mode: str) -> None:
    """Imported by the function itself: on such an executor every record would be skipped."""

    def function(given: Any) -> None:
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401

    pipeline = use(function, mode=mode, bad_records="skip")
    with pytest.raises(ImportError, match="no_such_package"):
        pipeline.blocks(chunk(b"1", b"2"))
    assert pipeline.rejected.count == 0


@pytest.mark.parametrize("as_batch", [True, False])
def test_arrow_tables_are_split_by_their_columns(use: Any, as_batch: bool) -> None:
    """A layout finds each row's folder, also for nulls and times; Routed wins; rows may stand beside tables."""
    noon = dt.datetime(2026, 11, 21, 12, tzinfo=dt.timezone.utc)
    table = pa.table({"c": ["de", None, "de"], "at": [noon, noon, noon + dt.timedelta(hours=1)], "n": [1, 2, 3]})
    given = table.to_batches()[0] if as_batch else table
    row = {"c": "fr", "at": noon, "n": 4}
    layout = Layout("x/c={c}/hr=%H", time_field="at")
    pipeline = use(lambda c: [given, row, Routed("own", given)], JSON, mode="chunk", layout=layout)
    made = {
        folder: [line["n"] for line in lines(data)] for folder, data in contents(pipeline.blocks(chunk(b"x"))).items()
    }
    assert made == {
        "x/c=de/hr=12": [1],
        "x/c=__HIVE_DEFAULT_PARTITION__/hr=12": [2],
        "x/c=de/hr=13": [3],
        "x/c=fr/hr=12": [4],
        "own": [1, 2, 3],
    }


@pytest.mark.parametrize(
    "at",
    [
        [0, 60_000, -1, -60_001],
        [0.0, 60.0, -0.001, -60.001],
        ["1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z", "1969-12-31T23:59:59Z", "1969-12-31T23:58:59Z"],
        pa.array([0, 60_000, -1, -60_001], pa.timestamp("ms", "UTC")),
        pa.array([0, 60_000, -1, -60_001], pa.timestamp("ms")),
    ],
)
def test_times_of_a_column_are_those_of_rows(use: Any, at: Any) -> None:
    """Minutes are rounded downwards, before the epoch too, whatever the column's type."""
    table = pa.table({"at": at, "n": [0, 1, 2, 3]})
    layout = Layout("%Y-%m-%dT%H%M", time_field="at")
    by_column = contents(use(lambda c: table, JSON, mode="chunk", layout=layout).blocks(chunk(b"x")))
    by_row = contents(use(lambda c: table.to_pylist(), JSON, mode="chunk", layout=layout).blocks(chunk(b"x")))
    assert {k: [row["n"] for row in lines(v)] for k, v in by_column.items()} == {
        "1970-01-01T0000": [0],
        "1970-01-01T0001": [1],
        "1969-12-31T2359": [2],
        "1969-12-31T2358": [3],
    }
    assert by_row.keys() == by_column.keys()


HUGE = 10**5000  # Python refuses to print it
NO_TIME = pa.array([2**62], pa.timestamp("us", "UTC"))


@pytest.mark.parametrize(
    ("rows", "layout"),
    [
        ([{"c": HUGE}], Layout("c={c}")),
        (pa.table({"t": pa.array([2**64 - 1], pa.uint64())}), Layout("%Y", time_field="t")),
        (pa.table({"c": NO_TIME}), Layout("c={c}")),
        (pa.table({"c": NO_TIME}), None),
        (pa.table({"c": pa.array([b"\xff"]).view(pa.string())}), None),
    ],
)
def test_values_that_cannot_be_shown_are_bad_records(use: Any, rows: Any, layout: Layout | None) -> None:
    """Whatever error says so: no value ends a batch that is to go on without its record."""
    odd, fine = (lambda c: rows), (lambda c: [{"c": 1, "t": 0}])
    pipeline = use(
        lambda c: (odd if b"odd" in c.values else fine)(c), JSON, mode="chunk", bad_records="skip", layout=layout
    )
    (made,) = contents(pipeline.blocks(chunk(b"fine", b"odd", b"fine"))).values()
    assert (len(lines(made)), pipeline.rejected.count) == (2, 1)


def test_routed_wins_over_the_layout(use: Any) -> None:
    """A folder that the function names is taken as it is."""
    pipeline = use(lambda r: [{"a": 1}, Routed("own", {"a": 2})], JSON, layout=Layout("a={a}"))
    assert {k: lines(v) for k, v in contents(pipeline.blocks(chunk(b"x"))).items()} == {
        "a=1": [{"a": 1}],
        "own": [{"a": 2}],
    }


# ---- schemas


def inferred(function: Function, *values: bytes, known: Mapping[str, str] = {}, monkeypatch: Any) -> dict[str, str]:
    monkeypatch.setattr(recipe, "load", lambda option, name: function)
    cook = Recipe(PARQUET, "jobs:row", bad_records="skip")
    sketch = cook.sketch(known)
    cook.pipeline("t", 1, sketch, None).blocks(chunk(*values))
    return sketch.found()


def number(record: Record) -> Any:
    value = json.loads(record.value or b"")
    return Routed(value.pop("to", "n/dt=1"), value)


def test_a_table_without_a_schema_stops_the_task_and_is_inferred(use: Any, monkeypatch: Any) -> None:
    """What tasks have found is put together; then every row is of one schema, and one that is not is bad."""
    with pytest.raises(MissingSchema):
        use(number, PARQUET).blocks(chunk(b'{"a":1}'))
    found = [
        inferred(number, b'{"a":1}', b'{"a":null,"b":"x"}', b'{"a":"odd"}', monkeypatch=monkeypatch),
        inferred(number, b'{"a":1.5}', b'{"to":"other","z":1}', monkeypatch=monkeypatch),
    ]
    schemas = settled_schemas(PARQUET, found)
    assert set(schemas) == {"n", "other"}
    pipeline = use(number, PARQUET, schemas, bad_records="skip")
    rows, _ = pipeline.blocks(chunk(b'{"a":1}', b'{"a":"odd"}', b'{"a":2.5,"b":"x"}', b'{"c":1}'))
    assert rows["n/dt=1"].content.to_pylist() == [{"a": 1.0, "b": None}, {"a": 2.5, "b": "x"}]
    assert (pipeline.rejected.count, pipeline.rejected.first.split(":")[0]) == (2, "t-1 offset 11")


def test_the_first_record_alone_decides_no_schema(monkeypatch: Any) -> None:
    """A schema is for ever: what most rows are is taken, and the odd ones, wherever they stand, are bad records."""
    values = [b'{"a":"odd"}', b'{"a":1}', b'{"a":2}', b'{"b":true}']
    (schema,) = settled_schemas(PARQUET, [inferred(number, *values, monkeypatch=monkeypatch)]).values()
    assert [(f["name"], f["type"]) for f in json.loads(schema)["fields"]] == [
        ("a", ["null", "long"]),
        ("b", ["null", "boolean"]),
    ]


def test_what_is_known_is_not_inferred_again(monkeypatch: Any) -> None:
    """A schema is pinned for ever."""
    assert set(inferred(number, b'{"a":1}', b'{"to":"m","a":1}', known={"n": "x"}, monkeypatch=monkeypatch)) == {"m"}


def test_tasks_that_disagree_are_told(monkeypatch: Any) -> None:
    """No schema is made up: the message names the field, the remedy sink.schema."""
    found = [inferred(number, value, monkeypatch=monkeypatch) for value in (b'{"a":1}', b'{"a":"x"}')]
    with pytest.raises(BatchError, match=r"folder n .*field a") as raised:
        settled_schemas(PARQUET, found)
    assert "sink.schema" in raised.value.remedy


@pytest.mark.parametrize("depth", [60, 900])
def test_lists_within_lists_without_end_show_no_schema(monkeypatch: Any, depth: int) -> None:
    """Such a row is bad, and neither Python's stack nor that of the schema's readers is the limit."""
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    found = inferred(lambda r: {"a": deep if r.offset == 11 else 1}, b"", b"", b"", monkeypatch=monkeypatch)
    (schema,) = settled_schemas(PARQUET, [found]).values()
    assert [f["type"] for f in json.loads(schema)["fields"]] == [["null", "long"]]


def test_a_table_of_nothing_but_bad_rows_has_no_schema(use: Any, monkeypatch: Any) -> None:
    """Its rows are bad records, and the batch goes on."""
    odd = lambda record: Routed("n", {"a": object()})  # noqa: E731
    schemas = settled_schemas(PARQUET, [inferred(odd, b"x", monkeypatch=monkeypatch)])
    assert schemas == {"n": ""}
    pipeline = use(odd, PARQUET, schemas, bad_records="skip")
    assert contents(pipeline.blocks(chunk(b"x"))) == {}
    assert pipeline.rejected.count == 1


# ---- the share of bad records


def result(records: int, bad: int, first: str = "") -> TaskResult:
    return TaskResult(OffsetRange("t", 0, 0, 9), (), records, 0, bad, skipped=bad, first_bad=first)


def test_a_share_is_of_the_whole_batch() -> None:
    """One task may be all bad; the message has counts, place and error."""
    results = [result(2, 2, "t-1 offset 7: broken"), result(98, 0)]
    check_share(results, None)
    check_share(results, 0.02)
    check_share([], 0.0)
    with pytest.raises(BatchError, match=r"2 of 100 records .* = 0.01; first: t-1 offset 7: broken") as raised:
        check_share(results, 0.01)
    assert raised.value.exit_status == 1


# ---- setup


def test_setup_is_made_once_per_version_and_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the batch's number: every worker changes at the same batch, and keeps one at a time."""
    made: list[int] = []

    def setup() -> int:
        made.append(len(made))
        return made[-1]

    monkeypatch.setattr(enrichment, "load", lambda option, name: setup)
    on_worker.cache_clear()
    every_third = Setup("jobs:table", 3)
    assert [on_worker(every_third, every_third.version(seq)) for seq in range(1, 8)] == [0, 0, 1, 1, 1, 2, 2]
    assert on_worker.cache_info().currsize == 1
    assert {Setup("jobs:table").version(seq) for seq in range(9)} == {0}
    on_worker.cache_clear()


def test_an_error_of_setup_is_never_a_bad_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops the run with its own name and line."""

    def setup() -> Any:
        raise KeyError("rates")

    monkeypatch.setattr(enrichment, "load", lambda option, name: setup)
    with pytest.raises(BatchError, match=f"jobs:table raised KeyError: 'rates' at {__file__}:") as raised:
        Setup("jobs:table").made()
    assert not isinstance(raised.value, BadRecordError)


def test_the_function_is_given_what_setup_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its second argument, None too."""
    monkeypatch.setattr(recipe, "load", lambda option, name: lambda record, table: str(table))
    for resource in ({"a": 1}, None):
        cook = Recipe(TEXT, "jobs:row", setup=Setup("jobs:table"))
        pipeline = cook.pipeline("t", 1, cook.blocks({}), resource)
        assert contents(pipeline.blocks(chunk(b"x"))) == {"": f"{resource}\n".encode()}


# ---- loading


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
        load("job.function", f"{module}:f")


def test_functions_are_loaded_by_name() -> None:
    """A wrong name is a configuration error that repeats it."""
    assert load("job.setup", "json:dumps") is json.dumps
    for name in ("no_such_module:f", "json:no_such", "json:__name__"):
        with pytest.raises(ConfigError, match=f"job.setup = {name}"):
            load("job.setup", name)
