"""Compression of whole files: one gzip member or one zstd frame each, as zcat, zstd and Hadoop's codecs read them.

Streams through C code; the same bytes and level give the same file (no name and no time stand in the header).
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from streaming.formats.base import BlockWriter, Format
from streaming.records import Message

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = {"gzip": "gz", "zstd": "zst"}
_GZIP_HEADER = 31  # zlib's wbits: the largest window, and gzip's header instead of zlib's


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


@dataclass(frozen=True)
class Compressed:
    """A format whose files hold nothing but its writer's bytes one after the other, compressed."""

    plain: Format
    codec: str
    level: int

    @property
    def extension(self) -> str:
        return f"{self.plain.extension}.{SUFFIXES[self.codec]}"

    @property
    def typed(self) -> bool:
        return self.plain.typed

    def block(self, rows: Sequence[Any] | pa.Table | pa.RecordBatch, schema: pa.Schema | None) -> Any:
        return self.plain.block(rows, schema)

    def as_is(self, chunk: Sequence[Message]) -> Any:
        return self.plain.as_is(chunk)

    def check_schema(self, schema: pa.Schema) -> None:
        self.plain.check_schema(schema)

    def open(self, write: Callable[[bytes], Any], schema: pa.Schema | None) -> BlockWriter:
        return _CompressedWriter(self.plain, _compressor(self.codec, self.level), write, schema)


class _CompressedWriter:
    held = 0

    def __init__(
        self, plain: Format, compressor: _Compressor, write: Callable[[bytes], Any], schema: pa.Schema | None
    ) -> None:
        self._compressor, self._write = compressor, write
        self._plain = plain.open(self._take, schema)

    def write_block(self, block: Any) -> None:
        self._plain.write_block(block)

    def close(self) -> None:
        self._plain.close()
        self._write(self._compressor.flush())

    def _take(self, data: bytes) -> None:
        if made := self._compressor.compress(data):
            self._write(made)


def _compressor(codec: str, level: int) -> _Compressor:
    if codec == "gzip":
        return zlib.compressobj(level, zlib.DEFLATED, _GZIP_HEADER)
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    compressor: _Compressor = zstd.ZstdCompressor(level=level)
    return compressor
