"""Parquet, by pyarrow: a block is an Arrow batch.  Readable by Spark, Hive and whatever else knows the format.

Rows are held back until they make a row group; so an open file costs up to ROW_GROUP_BYTES, and a few times less once
its task ends before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from streaming.formats.as_is import as_is_columns
from streaming.formats.byte_file import ByteFile
from streaming.formats.columns import relaxed
from streaming.formats.schemas import check_complete
from streaming.formats.tabular import to_columns
from streaming.records import Message

ROW_GROUP_BYTES = 64 << 20  # of Arrow memory: about what Hadoop's writers give a row group, compressed
ROW_GROUP_ROWS = 1 << 20


@dataclass(frozen=True)
class ParquetFormat:
    """Times are in UTC, never the 96-bit ones of old; a dictionary where one pays."""

    codec: str
    level: int | None
    extension: ClassVar[str] = "parquet"
    typed: ClassVar[bool] = True

    def block(self, rows: Sequence[Any] | pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table | pa.RecordBatch:
        return to_columns(rows, schema)

    def as_is(self, chunk: Sequence[Message]) -> pa.RecordBatch:
        return as_is_columns(chunk)

    def check_schema(self, schema: pa.Schema) -> None:
        check_complete(schema)

    def open(self, write: Callable[[bytes], Any], schema: pa.Schema) -> ParquetWriter:
        return ParquetWriter(
            pq.ParquetWriter(
                ByteFile(write),
                relaxed(schema),
                compression=self.codec,
                compression_level=self.level,
                store_schema=False,
            )
        )


class ParquetWriter:
    """Gathers blocks into row groups."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._held: list[pa.Table] = []
        self.held = self._rows = 0

    def write_block(self, block: pa.Table | pa.RecordBatch) -> None:
        table = block if isinstance(block, pa.Table) else pa.Table.from_batches([block])
        self._held.append(table)
        self.held += table.nbytes
        self._rows += table.num_rows
        if self.held >= ROW_GROUP_BYTES or self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.concat_tables(self._held), ROW_GROUP_ROWS)
        self._held = []
        self.held = self._rows = 0
