"""CSV with a header line, by pyarrow: a block is the bytes of its lines.

Text and times are quoted, with quotes in them doubled, and text may hold commas and line feeds.  A null is an empty
field without quotes, empty text one with them.  Spark reads it with header=true, escape='"' and multiLine=true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from streaming.formats.as_is import as_is_columns
from streaming.formats.base import BadItemError, UnfitError
from streaming.formats.lines import DECODE, LineWriter
from streaming.formats.schemas import check_complete
from streaming.formats.tabular import to_columns
from streaming.records import Message


@dataclass(frozen=True)
class CsvFormat:
    """Columns without nesting.  Without a function, headers are JSON text, and keys and values must be UTF-8."""

    extension: ClassVar[str] = "csv"
    typed: ClassVar[bool] = True

    def block(self, rows: Sequence[Any] | pa.Table | pa.RecordBatch, schema: pa.Schema) -> bytes:
        try:
            return _lines(to_columns(rows, schema))
        except pa.ArrowInvalid as e:
            raise UnfitError(f"bytes that are no text: {e}") from None

    def as_is(self, chunk: Sequence[Message]) -> bytes:
        columns = as_is_columns(chunk)
        at = columns.schema.get_field_index("headers")
        try:
            headers = pa.array([_headers(m.headers()) for m in chunk], pa.string())
            return _lines(columns.set_column(at, "headers", headers))
        except (pa.ArrowInvalid, UnicodeDecodeError):
            raise _not_text(chunk) from None

    def check_schema(self, schema: pa.Schema) -> None:
        check_complete(schema)
        for field in schema:
            if pa.types.is_nested(field.type):
                raise ValueError(f"field {field.name} is {field.type}: format csv takes no nested columns")

    def open(self, write: Callable[[bytes], Any], schema: pa.Schema) -> LineWriter:
        write(_header(schema.names))
        return LineWriter(write)


def _lines(columns: pa.Table | pa.RecordBatch) -> bytes:
    for at, field in enumerate(columns.schema):
        if pa.types.is_timestamp(field.type):
            columns = columns.set_column(at, field.name, _instants(columns.column(at)))
    out = pa.BufferOutputStream()
    csv.write_csv(columns, out, csv.WriteOptions(include_header=False))
    return bytes(out.getvalue())


def _instants(times: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Times in UTC as text.  pyarrow looks up the zone for each: without it, it is fifty times as fast."""
    local = times.cast(pa.timestamp(times.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(local, "Z", "")


def _header(names: Sequence[str]) -> bytes:
    row = pa.table({str(i): [name] for i, name in enumerate(names)})
    return _lines(row)


def _headers(headers: Sequence[tuple[str, bytes | None]] | None) -> str:
    if not headers:
        return "[]"
    named = [{"key": k, "value": None if v is None else str(v, "utf-8")} for k, v in headers]
    return orjson.dumps(named).decode()


def _not_text(chunk: Sequence[Message]) -> BadItemError:
    """Of the first message with bytes that are no UTF-8."""
    for index, message in enumerate(chunk):
        try:
            for data in (message.key(), message.value(), *(v for _, v in message.headers() or ())):
                str(data or b"", "utf-8")
        except UnicodeDecodeError as e:
            return BadItemError(index, f"its key, value or a header is not UTF-8 ({e.reason})", DECODE)
    raise AttributeError("a chunk that is UTF-8 was refused")
