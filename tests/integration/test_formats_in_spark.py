"""Spark reads what was written: every format with every codec, by the readers that users have."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Message

from streaming.formats import FORMATS, Format, open_format
from streaming.formats.as_is import AS_IS_SCHEMA

ALL = [(name, codec) for name, kind in FORMATS.items() for codec in kind.codecs]
NOON = dt.datetime(2026, 11, 20, 12, 0, 0, 123_000, dt.timezone.utc)
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        ("number", pa.int32()),
        ("text", pa.string()),
        ("ratio", pa.float64()),
        ("ok", pa.bool_()),
        ("day", pa.date32()),
        ("millis", pa.timestamp("ms", "UTC")),
        ("micros", pa.timestamp("us", "UTC")),
        ("amount", pa.decimal128(9, 2)),
    ]
)
FULL = {
    "id": 1,
    "number": -2,
    "text": 'a "q",\nä\\n',
    "ratio": 0.1,
    "ok": True,
    "day": NOON.date(),
    "millis": NOON,
    "micros": NOON.replace(microsecond=123_456),
    "amount": Decimal("12.30"),
}
ROWS: list[dict[str, Any]] = [FULL, {"id": 2}]
LINES = ["one", "two, and ä"]

# Prints a JSON object of the rows in each folder, as Spark shows them: all codecs of a format at once.
# Avro by the Java library that Spark and Hive read it with.
READER = """
import json, sys
from pathlib import Path
from pyspark.sql import SparkSession
from pyspark.sql.functions import input_file_name, struct, to_json

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config(
    "spark.sql.session.timeZone", "UTC").getOrCreate()
COLUMNS = ("id bigint, number int, text string, ratio double, ok boolean, day date, millis timestamp, "
    "micros timestamp, amount decimal(9,2)")
root, found = Path(sys.argv[1]), {}

def folders(name):
    return [str(folder) for folder in root.glob(name + "-*")]

def show(frame):
    if "micros" in frame.columns:  # JSON would cut it
        frame = frame.withColumn("micros", frame.micros.cast("string"))
    for file, line in frame.select(input_file_name(), to_json(struct(*frame.columns))).collect():
        found.setdefault(Path(file).parent.name, []).append(json.loads(line))

for folder in folders("avro"):
    (file,) = Path(folder).iterdir()
    avro = spark._jvm.org.apache.avro
    reader = avro.file.DataFileReader(spark._jvm.java.io.File(str(file)), avro.generic.GenericDatumReader())
    found[Path(folder).name] = [json.loads(reader.next().toString()) for _ in iter(reader.hasNext, False)]
show(spark.read.csv(folders("csv"), COLUMNS, header=True, escape='"', multiLine=True, mode="FAILFAST"))
show(spark.read.schema(COLUMNS).json(folders("json"), mode="FAILFAST"))
show(spark.read.parquet(*folders("parquet")))
show(spark.read.text(folders("text")))
records = spark.read.parquet(str(root / "records"))
show(records)
print("FOUND", json.dumps({"rows": found, "types": records.dtypes}))
"""


def write(folder: Path, format_: Format, block: Any, schema: pa.Schema | None) -> None:
    folder.mkdir()
    with (folder / f"part.{format_.extension}").open("wb") as file:
        writer = format_.open(file.write, schema)
        writer.write_block(block)
        writer.close()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, java_home: Path) -> Any:
    """What one Spark session reads of a folder for each format and codec."""
    root = tmp_path_factory.mktemp("formats")
    for name, codec in ALL:
        format_ = open_format(name, codec)
        schema = SCHEMA if format_.typed else None
        write(root / f"{name}-{codec}", format_, format_.block(LINES if name == "text" else ROWS, schema), schema)
    parquet = open_format("parquet")
    message = Message("t", 1, 5, key=b"k", value=None, timestamp=(1, 1700), headers=[("h", b"1")])
    write(root / "records", parquet, parquet.as_is([message]), AS_IS_SCHEMA)
    environment = {**os.environ, "JAVA_HOME": str(java_home), "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", READER, str(root)], capture_output=True, text=True, timeout=240, env=environment
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert told, done.stderr[-3000:]
    return json.loads(told[0].removeprefix("FOUND "))


AS_SPARK_SHOWS = {
    **FULL,
    "day": "2026-11-20",
    "millis": "2026-11-20T12:00:00.123Z",
    "micros": "2026-11-20 12:00:00.123456",
    "amount": 12.3,
}
AS_AVRO_SHOWS = {
    **FULL,
    "day": NOON.date().toordinal() - dt.date(1970, 1, 1).toordinal(),
    "millis": 1795176000123,
    "micros": 1795176000123456,
    "amount": (1230).to_bytes(2, "big").decode("latin-1"),
}


@pytest.mark.parametrize(("name", "codec"), ALL)
def test_every_format_and_codec(found: Any, name: str, codec: str) -> None:
    """Every row, every column, every type; what is null stays null."""
    rows = found["rows"][f"{name}-{codec}"]
    if name == "text":
        assert rows == [{"value": line} for line in LINES]
    elif name == "avro":
        assert rows == [AS_AVRO_SHOWS, {**dict.fromkeys(FULL), "id": 2}]
    else:
        assert rows == [AS_SPARK_SHOWS, {"id": 2}]


def test_records_as_they_are(found: Any) -> None:
    """Spark's types for their columns; bytes in Base64 here, as JSON shows them."""
    (row,) = found["rows"]["records"]
    assert row == {
        "topic": "t",
        "partition": 1,
        "offset": 5,
        "timestamp": "1970-01-01T00:00:01.700Z",
        "key": "aw==",
        "headers": [{"key": "h", "value": "MQ=="}],
    }
    assert dict(found["types"]) == {
        "topic": "string",
        "partition": "int",
        "offset": "bigint",
        "timestamp": "timestamp",
        "key": "binary",
        "value": "binary",
        "headers": "array<struct<key:string,value:binary>>",
    }
