"""Avro object container files, by fastavro: a block is Arrow columns whose times are numbers.

The schema is embedded; Avro blocks end at SYNC_BYTES, so a reader splits the file and a writer holds little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
from fastavro.write import Writer

from streaming.formats.as_is import as_is_columns
from streaming.formats.base import UnfitError
from streaming.formats.byte_file import ByteFile
from streaming.formats.schema_text import as_avro
from streaming.formats.schemas import check_complete
from streaming.formats.tabular import to_columns
from streaming.records import Message

SYNC_BYTES = 64_000  # uncompressed, as Hadoop's writers do it
_CODECS: Mapping[str, str] = {"none": "null", "deflate": "deflate", "zstd": "zstandard"}
_STORED = {pa.lib.Type_TIMESTAMP: pa.int64(), pa.lib.Type_DATE32: pa.int32()}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class AvroFormat:
    """Fields whose names Avro allows; a field that may be null is a union with null."""

    codec: str
    level: int | None
    extension: ClassVar[str] = "avro"
    typed: ClassVar[bool] = True

    def block(self, rows: Sequence[Any] | pa.Table | pa.RecordBatch, schema: pa.Schema) -> list[dict[str, Any]]:
        try:
            return _records(to_columns(rows, schema))
        except KeyError as e:  # only Arrow's own maps can
            raise UnfitError(f"a map that has the key {e} twice") from None

    def as_is(self, chunk: Sequence[Message]) -> list[dict[str, Any]]:
        return _records(as_is_columns(chunk))

    def check_schema(self, schema: pa.Schema) -> None:
        check_complete(schema)
        for field in _all_fields(schema):
            if not _NAME.fullmatch(field.name):
                raise ValueError(f"field {field.name!r}: a name in Avro is letters, digits and _, no digit first")

    def open(self, write: Callable[[bytes], Any], schema: pa.Schema) -> AvroWriter:
        file: Any = ByteFile(write)
        return AvroWriter(Writer(file, as_avro(schema), _CODECS[self.codec], SYNC_BYTES, compression_level=self.level))


class AvroWriter:
    """Takes lists of records."""

    held = 0

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write_block(self, block: list[dict[str, Any]]) -> None:
        for record in block:
            self._writer.write(record)

    def close(self) -> None:
        self._writer.flush()


def _records(columns: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    """Python values of the columns; times and dates as the numbers that Avro stores, which costs a third."""
    numbers = [(field.name, _STORED[field.type.id]) for field in columns.schema if field.type.id in _STORED]
    for name, type_ in numbers:
        at = columns.schema.get_field_index(name)
        columns = columns.set_column(at, name, columns.column(at).cast(type_))
    records: list[dict[str, Any]] = columns.to_pylist(maps_as_pydicts="strict")
    return records


def _all_fields(fields: Iterable[pa.Field]) -> Iterator[pa.Field]:
    """The fields of records, at any depth."""
    for field in fields:
        yield field
        yield from _within(field.type)


def _within(type_: pa.DataType) -> Iterator[pa.Field]:
    if pa.types.is_struct(type_):
        yield from _all_fields(type_)
    elif pa.types.is_list(type_):
        yield from _within(type_.value_type)
    elif pa.types.is_map(type_):
        yield from _within(type_.item_type)
