"""Rows of one directory to a block of the sink's format, under the schema of its table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from streaming.formats import Format, UnfitError
from streaming.sinks.names import table_of
from streaming.sinks.staging import Block
from streaming.transform.sorting import Group

if TYPE_CHECKING:
    import pyarrow as pa


class MissingSchema(Exception):
    """A table of which no schema is known yet: its rows cannot be written before one is pinned."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


class RowBlocks:
    """Blocks of rows.  `given`: one schema for every table; otherwise `schemas` has that of each.

    An empty one stands for a table of which no row has shown any.
    """

    def __init__(self, format_: Format, given: str | None, schemas: Mapping[str, str]) -> None:
        self._format, self._given, self._schemas = format_, given, schemas
        self.used: dict[str, str] = {}  # those of `schemas` under which blocks were made

    def __call__(self, directory: str, group: Group) -> Block:
        schema = self._schema(directory) if self._format.typed else None
        return Block(self._format.block(group.rows, schema), group.count, self._format, schema, group.bad)

    def _schema(self, directory: str) -> pa.Schema:
        if self._given is not None:
            return parsed(self._given)
        table = table_of(directory)
        schema = self._schemas.get(table)
        if schema is None:
            raise MissingSchema(table)
        if not schema:
            raise UnfitError("no row of its folder in this batch has given a schema")
        self.used[table] = schema
        return parsed(schema)


class MessageBlocks:
    """Blocks of messages as they are."""

    def __init__(self, format_: Format) -> None:
        self._format = format_
        self._schema = as_is_schema() if format_.typed else None
        self.used: dict[str, str] = {}

    def __call__(self, directory: str, group: Group) -> Block:
        return Block(self._format.as_is(group.rows), group.count, self._format, self._schema)


@lru_cache(maxsize=256)  # executor: once per process, not once per block
def parsed(schema: str) -> pa.Schema:
    """The schema that a text form stands for."""
    from streaming.formats.schema_text import from_json

    return from_json(schema)


def as_is_schema() -> Any:
    """The columns of messages as they are."""
    from streaming.formats.as_is import AS_IS_SCHEMA

    return AS_IS_SCHEMA
