"""Records as they are, as columns: what typed formats write without a function."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa

from streaming.formats.schema_text import MILLIS
from streaming.records import Message

HEADER = pa.struct([("key", pa.string()), ("value", pa.binary())])
AS_IS_SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", MILLIS),  # null if the record has none
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.list_(HEADER), nullable=False),  # empty if none
    ]
)


def as_is_columns(chunk: Sequence[Message]) -> pa.RecordBatch:
    """One row per message, of AS_IS_SCHEMA.  No object is made for a message: a call in C for each field of all."""
    kind: Any = type(chunk[0]) if chunk else Message
    columns = [
        pa.array(list(map(kind.topic, chunk)), pa.string()),
        pa.array(list(map(kind.partition, chunk)), pa.int32()),
        pa.array(list(map(kind.offset, chunk)), pa.int64()),
        pa.array([at if has else None for has, at in map(kind.timestamp, chunk)], MILLIS),
        pa.array(list(map(kind.key, chunk)), pa.binary()),
        pa.array(list(map(kind.value, chunk)), pa.binary()),
        _headers([headers or () for headers in map(kind.headers, chunk)]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=AS_IS_SCHEMA)


def _headers(headers: list[Sequence[tuple[str, bytes | None]]]) -> pa.Array:
    ends = pa.array(accumulate(map(len, headers), initial=0), pa.int32())
    pairs = list(chain.from_iterable(headers))
    values = [pa.array([k for k, _ in pairs], pa.string()), pa.array([v for _, v in pairs], pa.binary())]
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(values, fields=list(HEADER)))
