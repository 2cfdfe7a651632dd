"""The schemas of tables that no batch has written yet: found by the tasks, put together and settled by the driver.

Nothing is pinned by it: the batch that is then staged with these schemas pins them by its PREPARE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from offsets.errors import BatchError
from streaming.formats import Format
from streaming.sinks.names import table_of
from streaming.transform.sorting import Group

if TYPE_CHECKING:
    import pyarrow as pa

REMEDY = "set sink.schema, which says what each field is, or make job.function return it in one type; then launch again"


class Sketch:
    """Takes the place of blocks: only remembers what schema a task's rows would fit, table by table.

    A row that does not go together with those before it is unfit, as it will be once the schema is pinned.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._found: dict[str, pa.Schema | None] = {}

    def __call__(self, directory: str, group: Group) -> None:
        from streaming.formats.schemas import infer, unify

        table = table_of(directory)
        if table not in self._known:
            before = self._found.setdefault(table, None)
            schema = infer(group.rows)
            self._found[table] = schema if before is None else unify([before, schema])

    def found(self) -> dict[str, str]:
        """By table, in text; empty for a table of which no row has shown any."""
        from streaming.formats.schemas import to_json

        return {table: "" if schema is None else to_json(schema) for table, schema in self._found.items()}


def settled_schemas(format_: Format, found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Driver: of what all tasks have found, one schema for each table, which can be pinned.  Raises BatchError."""
    by_table: dict[str, list[str]] = {}
    for table, schema in chain.from_iterable(each.items() for each in found):
        by_table.setdefault(table, []).append(schema)
    return {table: _settled(format_, table, [s for s in each if s]) for table, each in by_table.items()}


def _settled(format_: Format, table: str, schemas: Sequence[str]) -> str:
    from streaming.formats.schemas import from_json, settled, to_json, unify

    if not schemas:
        return ""
    try:
        schema = settled(unify(map(from_json, schemas)))
        format_.check_schema(schema)
        return to_json(schema)
    except ValueError as e:
        where = f"folder {table}" if table else "the sink's root"
        raise BatchError(f"no schema for {where} can be found in its first batch: {e}", REMEDY) from e
