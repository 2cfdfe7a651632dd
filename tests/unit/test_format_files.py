"""Files of every format and codec, read by readers that are not ours."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import pickle
import subprocess
import sys
import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.formats import FORMATS, BadItemError, Format, UnfitError, open_format
from streaming.formats import parquet as parquet_module
from streaming.formats.as_is import AS_IS_SCHEMA
from streaming.formats.schema_text import from_json, to_json
from tests.unit.typed_rows import FLAT_SCHEMAS, SCHEMAS, UTC, rows_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ALL = [(name, codec) for name, kind in FORMATS.items() for codec in kind.codecs]
LINES = [(name, codec) for name, codec in ALL if name in ("json", "text", "csv")]
LEVELLED = [(name, codec) for name, codec in ALL if FORMATS[name].codecs[codec]]
ROWS = [{"id": 1, "name": "Ärger"}, {"id": 2, "name": None}, {"id": 3, "name": ""}]
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), ("name", pa.string())])
PLAIN = {"json": b'{"id":1}\n', "text": b"1\n", "csv": b'"id","name"\n1,\n'}
HEADERS: list[tuple[str, Any]] = [("h", b"1"), ("h", None)]


def written(format_: Format, blocks: Iterable[Any], schema: pa.Schema | None = None) -> bytes:
    """The file that a format's writer makes."""
    parts: list[bytes] = []
    writer = format_.open(parts.append, schema)
    for block in blocks:
        writer.write_block(block)
    writer.close()
    assert {type(part) for part in parts} <= {bytes}
    return b"".join(parts)


def of_rows(format_: Format, rows: Any, schema: pa.Schema | None) -> bytes:
    """In two blocks."""
    parts = (rows[:1], rows[1:]) if isinstance(rows, list) else (rows,)
    return written(format_, [format_.block(part, schema) for part in parts], schema)


def one_row(name: str, codec: str, level: int | None = None) -> bytes:
    format_ = open_format(name, codec, level)
    row = "1" if name == "text" else {"id": 1}
    return written(format_, [format_.block([row], SCHEMA)], SCHEMA)


def unpacked(codec: str, data: bytes) -> bytes:
    return {"none": bytes, "gzip": gzip.decompress, "zstd": zstd.decompress}[codec](data)


def of_parquet(data: bytes) -> Any:
    return pq.read_table(pa.BufferReader(data)).to_pylist(maps_as_pydicts="strict")


def of_avro(data: bytes) -> Any:
    return list(fastavro.reader(io.BytesIO(data)))


def message(value: bytes | None, offset: int = 0, **fields: Any) -> Message:
    return Message("t", 1, offset, value=value, **{"timestamp": (1, 1700), **fields})


@pytest.mark.parametrize(
    ("name", "codec", "extension"),
    [
        ("json", None, "json"),
        ("json", "gzip", "json.gz"),
        ("text", "zstd", "txt.zst"),
        ("csv", "gzip", "csv.gz"),
        ("parquet", "zstd", "parquet"),
        ("avro", "deflate", "avro"),
    ],
)
def test_extensions(name: str, codec: str | None, extension: str) -> None:
    """Hadoop chooses a codec by the end of a name; in Parquet and Avro the file itself says it."""
    assert open_format(name, codec).extension == extension


@pytest.mark.parametrize(("name", "codec"), ALL)
def test_formats_travel(name: str, codec: str) -> None:
    """To executors, with codec and level; equal ones are equal."""
    format_ = open_format(name, codec)
    assert pickle.loads(pickle.dumps(format_)) == format_
    assert format_.typed == FORMATS[name].typed


def test_text_needs_no_arrow() -> None:
    """A worker that writes lines does not wait for pyarrow and fastavro."""
    code = "import sys, streaming.formats as f; f.open_format('json', 'gzip'); print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("name", "codec", "level", "told"),
    [
        ("xml", None, None, "must be one of json, text, csv, parquet, avro"),
        ("json", "snappy", None, "format json takes the compressions none, gzip, zstd"),
        ("avro", "gzip", None, "takes the compressions none, deflate, zstd"),
        ("parquet", "brotli", None, "takes the compressions snappy, none, gzip, zstd, lz4"),
        ("json", None, 3, "compression none has no levels"),
        ("parquet", None, 1, "compression snappy has no levels"),
        ("json", "gzip", 0, "has the levels 1 to 9"),
        ("json", "gzip", 10, "has the levels 1 to 9"),
        ("parquet", "zstd", 20, "has the levels 1 to 19"),
        ("parquet", "lz4", 13, "has the levels 1 to 12"),
    ],
)
def test_what_does_not_go_together(name: str, codec: str | None, level: int | None, told: str) -> None:
    """Names what the format or codec takes."""
    with pytest.raises(ValueError, match=told):
        open_format(name, codec, level)


@pytest.mark.parametrize(("name", "codec"), LEVELLED)
def test_every_level_is_taken(name: str, codec: str) -> None:
    """From the lowest to the highest, and the default is one of them."""
    levels = FORMATS[name].codecs[codec]
    assert levels is not None
    for level in (levels.low, levels.default, levels.high):
        assert one_row(name, codec, level)


@pytest.mark.parametrize(("name", "codec"), LINES)
def test_compressed_files_are_the_plain_ones(name: str, codec: str) -> None:
    """Byte for byte once unpacked; the same rows give the same file; no rows give a file that unpacks to none."""
    data = one_row(name, codec)
    assert unpacked(codec, data) == PLAIN[name]
    assert one_row(name, codec) == data
    assert unpacked(codec, written(open_format(name, codec), [], SCHEMA)) in (b"", b'"id","name"\n')


def test_one_member_and_one_frame() -> None:
    """However many blocks: readers that stop after the first lose nothing.  No time and no name in gzip's header."""
    blocks = [b"%d\n" % i * 10_000 for i in range(100)]
    whole = b"".join(blocks)
    packed = written(open_format("text", "gzip"), blocks)
    member = zlib.decompressobj(31)
    assert member.decompress(packed) == whole
    assert (member.eof, member.unused_data, packed[4:8], packed[3]) == (True, b"", b"\0\0\0\0", 0)
    frame = zstd.ZstdDecompressor()
    assert frame.decompress(written(open_format("text", "zstd"), blocks)) == whole
    assert (frame.eof, frame.unused_data) == (True, b"")


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(list(FORMATS["parquet"].codecs)))
def test_parquet_gives_back_every_row(data: st.DataObject, codec: str) -> None:
    """Of every type at any depth."""
    schema = data.draw(SCHEMAS)
    rows = data.draw(rows_of(schema))
    assert of_parquet(of_rows(open_format("parquet", codec), rows, schema)) == rows


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(list(FORMATS["avro"].codecs)))
def test_avro_gives_back_every_row(data: st.DataObject, codec: str) -> None:
    """Of every type at any depth; the file's own schema is the table's."""
    schema = data.draw(SCHEMAS)
    rows = data.draw(rows_of(schema))
    packed = of_rows(open_format("avro", codec), rows, schema)
    assert of_avro(packed) == rows
    assert from_json(json.dumps(fastavro.reader(io.BytesIO(packed)).writer_schema)) == schema


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_csv_gives_back_every_row(data: st.DataObject) -> None:
    """As text, whatever it holds: quotes, commas, line feeds; a null is a field without quotes, "" one with them."""
    schema = data.draw(FLAT_SCHEMAS.filter(lambda s: pa.binary() not in s.types))
    rows = data.draw(rows_of(schema))
    text = of_rows(open_format("csv"), rows, schema).decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == schema.names
    if len(header) > 1:  # an empty line is a null where there is one column, which the csv module skips
        for line, row in zip(lines, rows, strict=True):
            assert [from_text(field, text) for field, text in zip(schema, line, strict=True)] == [
                row[name] if row[name] != "" else None for name in header
            ]


def from_text(field: pa.Field, text: str) -> Any:
    if text == "":
        return None
    if pa.types.is_timestamp(field.type):
        return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if pa.types.is_boolean(field.type):
        return {"true": True, "false": False}[text]
    readers: dict[pa.DataType, Any] = {pa.string(): str, pa.date32(): dt.date.fromisoformat}
    if pa.types.is_decimal(field.type):
        return Decimal(text)
    if field.type == pa.float32():
        return pa.scalar(float(text), pa.float32()).as_py()
    return readers.get(field.type, int if pa.types.is_integer(field.type) else float)(text)


def test_csv_byte_for_byte() -> None:
    """Text is quoted, quotes doubled; a null and an empty text differ; times are ISO 8601 in UTC."""
    schema = pa.schema([('a "b"', pa.string()), ("c", pa.timestamp("ms", "UTC")), ("d", pa.binary())])
    rows = [('q"q,\n', dt.datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC), b"text"), ("", None, None), (None, None, b"")]
    assert of_rows(open_format("csv"), rows, schema).decode() == (
        '"a ""b""","c","d"\n"q""q,\n","2026-11-20 01:02:03.000Z","text"\n"",,\n,,""\n'
    )


@pytest.mark.parametrize("name", ["parquet", "avro", "csv"])
def test_typed_formats_refuse_what_is_not_of_the_schema(name: str) -> None:
    """All rows of a block or none; an Arrow table is taken as it is."""
    format_ = open_format(name)
    for row in ({"id": "1"}, {"id": 1, "x": 1}, {"name": "a"}):
        with pytest.raises(UnfitError):
            format_.block([{"id": 1}, row], SCHEMA)
    with pytest.raises(TypeError):
        format_.block(["a"], SCHEMA)
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    assert of_rows(format_, table, SCHEMA)[-200:].count(b"rger") == of_rows(format_, ROWS, SCHEMA)[-200:].count(b"rger")


def test_csv_refuses_bytes_that_are_no_text() -> None:
    """Nothing is replaced by question marks."""
    with pytest.raises(UnfitError, match="no text"):
        open_format("csv").block([{"a": b"\xff"}], pa.schema([("a", pa.binary())]))


@pytest.mark.parametrize(
    ("name", "schema", "told"),
    [
        ("avro", pa.schema([("user-id", pa.int64())]), "field 'user-id'"),
        ("avro", pa.schema([("a", pa.list_(pa.struct([("1", pa.int64())])))]), "field '1'"),
        ("csv", pa.schema([("a", pa.list_(pa.int64()))]), "field a is list"),
        ("text", SCHEMA, "format text has no schema"),
        ("json", SCHEMA, "format json has no schema"),
    ],
)
def test_schemas_that_a_format_cannot_hold(name: str, schema: pa.Schema, told: str) -> None:
    """Known before it is pinned; compressed as well."""
    for codec in ("none", "zstd"):
        with pytest.raises(ValueError, match=told):
            open_format(name, codec).check_schema(schema)
    open_format("parquet").check_schema(pa.schema([("user-id", pa.int64())]))


def test_row_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By memory and by rows; blocks are put together, and what is left goes out with the footer."""
    parquet = open_format("parquet", "none")
    rows = [{"id": i, "name": "x" * 91} for i in range(100)]
    block = parquet.block(rows, SCHEMA)
    monkeypatch.setattr(parquet_module, "ROW_GROUP_BYTES", 25_000)
    assert groups(written(parquet, [block] * 7, SCHEMA)) == [300, 300, 100]
    monkeypatch.setattr(parquet_module, "ROW_GROUP_ROWS", 200)
    assert groups(written(parquet, [block] * 3, SCHEMA)) == [200, 100]
    assert groups(written(parquet, [], SCHEMA)) == []


def groups(data: bytes) -> list[int]:
    metadata = pq.read_metadata(pa.BufferReader(data))
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


@pytest.mark.parametrize("codec", list(FORMATS["parquet"].codecs))
def test_parquet_codecs(codec: str) -> None:
    """The file says the codec that was asked for; never the 96-bit times of old."""
    schema = pa.schema([("at", pa.timestamp("us", "UTC"))])
    data = of_rows(open_format("parquet", codec), [{"at": dt.datetime(2026, 11, 20, tzinfo=UTC)}], schema)
    column = pq.read_metadata(pa.BufferReader(data)).row_group(0).column(0)
    expected = {"none": "UNCOMPRESSED"}.get(codec, codec.upper())
    assert (column.compression, column.physical_type) == (expected, "INT64")


def test_avro_blocks_are_bounded() -> None:
    """A reader can split the file, and a writer holds little."""
    avro = open_format("avro")
    data = of_rows(avro, [{"id": i, "name": "x" * 1000} for i in range(1000)], SCHEMA)
    blocks = list(fastavro.block_reader(io.BytesIO(data)))
    assert 10 < len(blocks) < 20
    assert sum(block.num_records for block in blocks) == 1000


AS_IS = [message("é".encode(), 5, key=b"", headers=HEADERS), message(None, 6, timestamp=(0, -1))]
AS_IS_ROWS = [
    {
        "topic": "t",
        "partition": 1,
        "offset": 5,
        "timestamp": dt.datetime(1970, 1, 1, 0, 0, 1, 700_000, UTC),
        "key": b"",
        "value": "é".encode(),
        "headers": [{"key": "h", "value": b"1"}, {"key": "h", "value": None}],
    },
    {"topic": "t", "partition": 1, "offset": 6, "timestamp": None, "key": None, "value": None, "headers": []},
]


@pytest.mark.parametrize(("name", "read"), [("parquet", of_parquet), ("avro", of_avro)])
def test_records_as_they_are(name: str, read: Any) -> None:
    """Every field under Kafka's name; null and empty differ; keys and values are bytes, headers in their order."""
    format_ = open_format(name)
    assert read(written(format_, [format_.as_is(AS_IS), format_.as_is([])], AS_IS_SCHEMA)) == AS_IS_ROWS
    binary = [message(b"\xff", key=b"\xfe", headers=[("h", b"\xfd")])]
    assert read(written(format_, [format_.as_is(binary)], AS_IS_SCHEMA))[0]["value"] == b"\xff"


def test_records_as_they_are_in_csv() -> None:
    """As text; headers are JSON, in a field of their own."""
    format_ = open_format("csv")
    data = written(format_, [format_.as_is(AS_IS), format_.as_is([])], AS_IS_SCHEMA)
    assert data.decode() == (
        '"topic","partition","offset","timestamp","key","value","headers"\n'
        '"t",1,5,"1970-01-01 00:00:01.700Z","","é","[{""key"":""h"",""value"":""1""},{""key"":""h"",""value"":null}]"\n'
        '"t",1,6,,,,"[]"\n'
    )


@pytest.mark.parametrize("fields", [{"key": b"\xff"}, {"headers": [("h", b"\xff")]}, {"value": b"\xff"}])
def test_csv_as_is_refuses_what_is_not_utf8(fields: dict[str, Any]) -> None:
    """The record at fault is named."""
    with pytest.raises(BadItemError, match="UTF-8") as raised:
        open_format("csv").as_is([message(b"fine"), message(**{"value": b"", **fields})])
    assert (raised.value.index, bool(raised.value.remedy)) == (1, True)


def test_the_schema_of_records_as_they_are() -> None:
    """It can be pinned like any other, and every typed format but csv can hold it."""
    assert from_json(to_json(AS_IS_SCHEMA)) == AS_IS_SCHEMA
    for name in ("parquet", "avro"):
        open_format(name).check_schema(AS_IS_SCHEMA)
