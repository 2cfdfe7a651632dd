"""What a file format is: rows to blocks, blocks to the bytes of a file.  Never opens a file and never sees a path.

A *block* is what a format's writer takes at once.  It is made where the records behind the rows are still known, so
that a row which the format cannot take is found before anything of it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from streaming.records import Message

if TYPE_CHECKING:
    import pyarrow as pa


class UnfitError(ValueError):
    """A row that the format, or the schema of its table, cannot take; says what is wrong with it."""


class BadItemError(ValueError):
    """The message at `index` of a chunk cannot be taken as it is."""

    def __init__(self, index: int, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.index, self.remedy = index, remedy


class BlockWriter(Protocol):
    """One open file.  Stateful; what it holds back (row groups, a footer) goes out with `close`."""

    held: int  # bytes of rows that wait in memory

    def write_block(self, block: Any) -> None:
        """Takes what `Format.block` or `Format.as_is` made."""

    def close(self) -> None:
        """Writes what is left.  Does not close the file under it."""


class Format(Protocol):
    """One configured format, codec and level inside.  Frozen, picklable, stateless."""

    @property
    def extension(self) -> str:
        """Of its files' names, without the leading dot."""

    @property
    def typed(self) -> bool:
        """Whether its files have columns: then every `schema` must be given, otherwise it is None."""

    def block(self, rows: Sequence[Any] | pa.Table | pa.RecordBatch, schema: pa.Schema | None) -> Any:
        """A block of these rows: all of them, or UnfitError or TypeError that says what is wrong with one.

        Which one it is shows when each is asked for alone.
        """

    def as_is(self, chunk: Sequence[Message]) -> Any:
        """A block of a chunk's messages without a function; typed: of AS_IS_SCHEMA.  Raises BadItemError."""

    def check_schema(self, schema: pa.Schema) -> None:
        """Raises ValueError saying which field the format cannot hold; asked before a schema is pinned."""

    def open(self, write: Callable[[bytes], Any], schema: pa.Schema | None) -> BlockWriter: ...
