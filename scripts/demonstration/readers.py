"""Rows of a published file, by its extension, through other people's readers: nothing of ours says what is in it."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fastavro
import pyarrow.parquet
import zstandard

Rows = Iterator[dict[str, Any]]


def rows_of(name: str, content: bytes) -> Rows:
    """KeyError for an extension that no format has.  Lines of text must be JSON objects here."""
    for suffix, unpacked in UNPACK.items():
        if name.endswith(suffix):
            name, content = name.removesuffix(suffix), unpacked(content)
    yield from READ[name.rpartition(".")[2]](content)


def _lines(content: bytes) -> Rows:
    yield from map(json.loads, content.splitlines())


def _csv(content: bytes) -> Rows:
    yield from csv.DictReader(io.StringIO(content.decode(), newline=""))


def _parquet(content: bytes) -> Rows:
    yield from pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()


def _avro(content: bytes) -> Rows:
    for row in fastavro.reader(io.BytesIO(content)):
        assert isinstance(row, dict)
        yield row


def _unzstd(content: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
        return reader.read()


UNPACK: Mapping[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".zst": _unzstd}
READ: Mapping[str, Callable[[bytes], Rows]] = {
    "json": _lines,
    "txt": _lines,
    "csv": _csv,
    "parquet": _parquet,
    "avro": _avro,
}
