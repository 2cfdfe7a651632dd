"""Records as they are, as columns: what typed formats write without a function."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, cast

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
    """One row per message, all of one partition, of AS_IS_SCHEMA.

    No object is made for a message: a call in C for each field of all.
    """
    if not chunk:
        return pa.RecordBatch.from_pylist([], AS_IS_SCHEMA)
    first, kind = chunk[0], cast(Any, type(chunk[0]))
    columns = [
        pa.repeat(pa.scalar(first.topic(), pa.string()), len(chunk)),
        pa.repeat(pa.scalar(first.partition(), pa.int32()), len(chunk)),
        pa.array(list(map(kind.offset, chunk)), pa.int64()),
        pa.array([at if has else None for has, at in map(kind.timestamp, chunk)], MILLIS),
        pa.array(list(map(kind.key, chunk)), pa.binary()),
        pa.array(list(map(kind.value, chunk)), pa.binary()),
        _headers(list(map(kind.headers, chunk))),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=AS_IS_SCHEMA)


def _headers(found: Sequence[Sequence[tuple[str, bytes | None]] | None]) -> pa.Array:
    headers = [each or () for each in found] if any(found) else []  # most topics have none
    ends = pa.array(accumulate(map(len, headers), initial=0), pa.int32())
    if not headers:
        ends = pa.repeat(ends[0], len(found) + 1)
    pairs = list(chain.from_iterable(headers))
    values = [pa.array([k for k, _ in pairs], pa.string()), pa.array([v for _, v in pairs], pa.binary())]
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(values, fields=list(HEADER)))
