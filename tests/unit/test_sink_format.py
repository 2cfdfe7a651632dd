"""The sink's format in a job file: what does not go together, and the schema file, before anything is connected to."""

from __future__ import annotations

from pathlib import Path

import pytest

from offsets.errors import ConfigError
from offsets.structs import AT_MOST_ONCE, GUARANTEES
from streaming.config.job import JobConfig
from streaming.config.reading import load
from streaming.formats import open_format
from streaming.formats.schema_text import from_json
from streaming.formats.settings import configured_format, given_schema

JOB = """
[job]
name = orders
function = orders:parse
[source]
subscribe = orders
startingOffsets = earliest
[kafka]
bootstrap.servers = localhost:9092
[offsets]
store = file:///tmp/orders
[sink]
path = file:///tmp/lake
"""
SCHEMA = '{"type": "record", "name": "Order", "fields": [{"name": "order-id", "type": "long", "doc": "its number"}]}'


def job(tmp_path: Path, text: str = JOB, **sink: str) -> JobConfig:
    settings = "\n".join(f"{key.replace('_', '.')} = {value}" for key, value in sink.items())
    return load(str(tmp_path / "job.cfg"), text + settings)


def problems(tmp_path: Path, text: str = JOB, **sink: str) -> str:
    with pytest.raises(ConfigError) as raised:
        job(tmp_path, text, **sink)
    assert raised.value.exit_status == 2
    return "\n".join(raised.value.problems)


def test_format_codec_and_level(tmp_path: Path) -> None:
    """The settings choose the format; without them it is json, and each format has its own default codec."""
    made = configured_format(job(tmp_path, format="parquet", compression="zstd", compression_level="9"))
    assert made == open_format("parquet", "zstd", 9)
    assert configured_format(job(tmp_path)) == open_format("json", "none")
    assert configured_format(job(tmp_path, format="parquet")) == open_format("parquet", "snappy")


@pytest.mark.parametrize(
    ("sink", "told"),
    [
        ({"format": "xml"}, "sink.format = xml: must be one of json, text, csv, parquet, avro"),
        ({"compression": "bzip2"}, "sink.compression = bzip2: must be one of none, gzip, zstd, snappy, lz4, deflate"),
        ({"format": "text", "compression": "snappy"}, "sink.compression = snappy: format text takes the compressions"),
        ({"compression_level": "3"}, "sink.compression.level = 3: compression none has no levels"),
        ({"compression": "gzip", "compression_level": "11"}, "sink.compression.level = 11: compression gzip has the"),
        ({"compression": "gzip", "compression_level": "fast"}, "sink.compression.level = fast: must be a whole number"),
        ({"schema": "order.avsc"}, "sink.schema: format json has no schema"),
        ({"format": "avro", "schema": ""}, "sink.schema = : must not be empty"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, sink: dict[str, str], told: str) -> None:
    """The setting at fault is named, and what it may be."""
    assert told in problems(tmp_path, **sink)


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("format_", ["json", "parquet", "avro"])
def test_at_most_once_needs_the_schema_before_it_reads(tmp_path: Path, guarantee: str, format_: str) -> None:
    """A typed format whose schema would be found in the first batch is refused by the name of what is missing."""
    text = JOB.replace("function = orders:parse", f"function = orders:parse\ndelivery.guarantee = {guarantee}")
    if guarantee == AT_MOST_ONCE and format_ != "json":
        assert "sink.schema: missing; job.delivery.guarantee = at-most-once" in problems(tmp_path, text, format=format_)
    else:
        assert job(tmp_path, text, format=format_).guarantee == guarantee
    (tmp_path / "order.avsc").write_text("{}")
    for changed, more in ((text, {"schema": "order.avsc"}), (text.replace("function = orders:parse\n", ""), {})):
        if format_ != "json":
            assert job(tmp_path, changed, format=format_, **more).guarantee == guarantee


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Of formats among all others."""
    text = JOB.replace("name = orders", "nmae = orders").replace("function = orders:parse", "")
    found = problems(tmp_path, text, format="avro", compression="gzip", schema="a.avsc")
    for part in ("job.nmae", "sink.compression = gzip", "sink.schema: records as they are have their own schema"):
        assert part in found


def test_schema_file(tmp_path: Path) -> None:
    """Its path is relative to the job file's folder; it is pinned in its short form."""
    (tmp_path / "order.avsc").write_text(SCHEMA)
    text = given_schema(job(tmp_path, format="parquet", schema="order.avsc"))
    assert text is not None
    assert "doc" not in text
    assert from_json(text).equals(from_json(SCHEMA), check_metadata=True)
    assert given_schema(job(tmp_path, format="parquet")) is None
    assert given_schema(job(tmp_path, format="csv", schema=str(tmp_path / "order.avsc"))) == text


@pytest.mark.parametrize(
    ("format_", "content", "told"),
    [
        ("parquet", None, "No such file or directory"),
        ("parquet", b"{", "no Avro schema"),
        ("parquet", b"\xff", "utf-8"),
        ("parquet", b'{"type": "string"}', "must be an Avro schema of type record"),
        ("avro", SCHEMA.encode(), "field 'order-id': a name in Avro"),
    ],
)
def test_schema_files_that_cannot_be(tmp_path: Path, format_: str, content: bytes | None, told: str) -> None:
    """Setting and file are named; it is a configuration error."""
    if content is not None:
        (tmp_path / "order.avsc").write_bytes(content)
    with pytest.raises(ConfigError, match=told) as raised:
        given_schema(job(tmp_path, format=format_, schema="order.avsc"))
    assert f"sink.schema = order.avsc: {tmp_path / 'order.avsc'}" in str(raised.value)
    assert raised.value.exit_status == 2
