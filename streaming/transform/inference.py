"""The schemas of tables that no batch has written yet: found by the tasks, put together and settled by the driver.

Nothing is pinned by it: the batch that is then staged with these schemas pins them by its PREPARE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from offsets.errors import BatchError
from streaming.formats import Format, UnfitError
from streaming.sinks.names import table_of
from streaming.transform.sorting import Group

UNFIT = (UnfitError, TypeError)
REMEDY = "set sink.schema, which says what each field is, or make job.function return it in one type; then launch again"


class Sketch:
    """Takes the place of blocks: only counts which schemas a task's rows would fit, table by table.

    What most rows are decides, and not who comes first: a schema is pinned for ever.  A row that does not go together
    with these is unfit once the schema is pinned.
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._seen: dict[str, Counter[str]] = {}

    def __call__(self, directory: str, group: Group) -> None:
        table = table_of(directory)
        if table not in self._known:
            self._count(self._seen.setdefault(table, Counter()), group.rows)

    def _count(self, seen: Counter[str], rows: Any) -> None:
        from streaming.formats.schema_text import to_json
        from streaming.formats.schemas import infer

        try:
            seen[to_json(infer(rows))] += len(rows)
        except UNFIT:
            if type(rows) is list and len(rows) > 1:
                for row in rows:
                    self._count(seen, [row])

    def found(self) -> dict[str, str]:
        """By table, in text; empty for a table of which no row has shown any."""
        return {table: _of_most(seen) for table, seen in self._seen.items()}


def _of_most(seen: Counter[str]) -> str:
    from streaming.formats.schema_text import from_json, to_json
    from streaming.formats.unions import unify

    schema = None
    for text, _ in seen.most_common():
        try:
            schema = unify([*([] if schema is None else [schema]), from_json(text)])
        except UnfitError:  # fewer rows are like this
            continue
    return "" if schema is None else to_json(schema)


def settled_schemas(format_: Format, found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Driver: of what all tasks have found, one schema for each table, which can be pinned.  Raises BatchError."""
    by_table: dict[str, list[str]] = {}
    for table, schema in chain.from_iterable(each.items() for each in found):
        by_table.setdefault(table, []).append(schema)
    return {table: _settled(format_, table, [s for s in each if s]) for table, each in by_table.items()}


def _settled(format_: Format, table: str, schemas: Sequence[str]) -> str:
    from streaming.formats.schema_text import from_json, to_json
    from streaming.formats.schemas import settled
    from streaming.formats.unions import unify

    if not schemas:
        return ""
    try:
        schema = settled(unify(map(from_json, schemas)))
        format_.check_schema(schema)
        return to_json(schema)
    except ValueError as e:
        where = f"folder {table}" if table else "the sink's root"
        raise BatchError(f"no schema for {where} can be found in its first batch: {e}", REMEDY) from e
