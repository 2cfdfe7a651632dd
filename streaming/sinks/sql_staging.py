"""Rows on their way into a table: a table of their own for each attempt of a task, which nobody else reads.

What is left over is known by its name.  Every name of a table or a column comes from the programmer, never from data,
and is quoted by SQLAlchemy.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, MetaData, Select, Table, func, insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateTable, DropTable

from offsets.errors import BatchError
from offsets.nearest import nearest
from offsets.stores.sql_errors import may_pass
from offsets.structs import OffsetRange
from streaming.sinks.current import BatchPlace

PREFIX = "kds_staged"
NUMBER = "kds_number"  # of a row in its range: of two for one key the later one counts
APP_DIGITS, ATTEMPT_DIGITS = 12, 12  # PostgreSQL cuts names to 63 bytes
CHUNK = 10_000  # rows that SQLite, which has one writer at a time, writes in one go
INSERT: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_STAGED = re.compile(rf"{PREFIX}_([0-9a-f]+)_(\d+)_(\d+)_[0-9a-f]+")

Row = Sequence[Any]


class Staged(NamedTuple):
    """What one attempt of a task has staged: a table and its rows.  Pickled; the driver gets it back."""

    table: str
    rows: int


def staged_name(batch: BatchPlace) -> str:
    """Of a new table each time."""
    attempt = uuid.uuid4().hex[:ATTEMPT_DIGITS]
    return f"{PREFIX}_{batch.app[:APP_DIGITS]}_{batch.place.epoch}_{batch.place.seq}_{attempt}"


def leftovers(names: Iterable[str], batch: BatchPlace) -> list[str]:
    """Those of `names` that batches of this job before this one have staged (rule G)."""
    found = [(name, m) for name in names if (m := _STAGED.fullmatch(name))]
    here = batch.place.epoch, batch.place.seq
    return [name for name, m in found if m[1] == batch.app[:APP_DIGITS] and (int(m[2]), int(m[3])) < here]


def staging_table(name: str, columns: Iterable[Column[Any]], prefix: str) -> Table:
    """Like the target's columns, without what would refuse or change a row.  `prefix`: UNLOGGED, TEMPORARY or none."""
    like = [Column(c.name, c.type, nullable=True) for c in columns]
    number = Column(NUMBER, BigInteger, autoincrement=False)
    return Table(name, MetaData(), *like, number, prefixes=[prefix] if prefix else [])


def numbered(rows: Iterable[Mapping[str, Any] | None], columns: Sequence[str]) -> Iterator[Row]:
    """The rows in the order of the columns, with their numbers behind.  ValueError, or TypeError, for what is none."""
    known = frozenset(columns)
    for number, row in enumerate(row for row in rows if row is not None):
        if not isinstance(row, Mapping):
            raise TypeError(f"row() must return a mapping or None, not a {type(row).__name__}")
        if not row.keys() <= known:
            unknown = sorted(map(str, row.keys() - known))
            raise ValueError(f"row() gives a column {unknown[0]!r} that is not written{nearest(unknown[0], known)}")
        yield (*map(row.get, columns), number)


def load(connection: Connection, staged: Table, rows: Iterable[Row]) -> int:
    """Makes the table and fills it; how many rows.  PostgreSQL: by COPY, in one transaction."""
    if connection.dialect.name == "postgresql":
        with connection.begin():
            connection.execute(CreateTable(staged))
            return _copy(connection, staged, rows)
    with connection.begin():
        connection.execute(CreateTable(staged))
    return _execute_many(connection, staged, rows)


def _copy(connection: Connection, staged: Table, rows: Iterable[Row]) -> int:
    quoted = connection.dialect.identifier_preparer
    columns = ", ".join(map(quoted.format_column, staged.columns))
    statement = f"COPY {quoted.format_table(staged)} ({columns}) FROM STDIN"
    adapt, count, driver = _adapting(connection, staged), 0, _driver(connection)
    cursor: Any = connection.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(adapt(row))
                count += 1
    except driver.Error as e:  # as SQLAlchemy would, had it sent this
        raise DBAPIError.instance(statement, None, e, driver.Error, dialect=connection.dialect) from e
    return count


def _driver(connection: Connection) -> Any:
    return connection.dialect.dbapi


def _adapting(connection: Connection, staged: Table) -> Callable[[Row], Row]:
    """What SQLAlchemy's types do to values on their way to the driver of the database."""
    found = [c.type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for c in staged.columns]
    if not any(found):
        return lambda row: row
    return lambda row: [value if f is None else f(value) for f, value in zip(found, row, strict=True)]


def _execute_many(connection: Connection, staged: Table, rows: Iterable[Row]) -> int:
    names, count, rows = staged.columns.keys(), 0, iter(rows)
    while chunk := [dict(zip(names, row, strict=True)) for row in islice(rows, CHUNK)]:
        with connection.begin():
            connection.execute(insert(staged), chunk)
        count += len(chunk)
    return count


def merge(connection: Connection, staged: Table, target: Table, key: Sequence[str]) -> None:
    """In the transaction under way: the staged rows into the target, over those of the same key if there is one."""
    names = [c.name for c in staged.columns if c.name != NUMBER]
    statement: Any = INSERT[connection.dialect.name](target).from_select(names, _chosen(staged, names, key))
    if key:
        rest = {name: statement.excluded[name] for name in names if name not in key}
        keys = [target.c[name] for name in key]
        if rest:
            statement = statement.on_conflict_do_update(index_elements=keys, set_=rest)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement)


def _chosen(staged: Table, names: Sequence[str], key: Sequence[str]) -> Select[Any]:
    """All rows in their order; with a key, the last one of each."""
    if not key:
        return select(*(staged.c[name] for name in names)).order_by(staged.c[NUMBER])
    place = func.row_number().over(partition_by=[staged.c[k] for k in key], order_by=staged.c[NUMBER].desc())
    ranked = select(staged, place.label("kds_place")).subquery()
    last = select(*(ranked.c[name] for name in names)).where(ranked.c.kds_place == 1)
    return last.order_by(ranked.c[NUMBER])


def drop(connection: Connection, table: Table) -> None:
    """In the transaction under way."""
    connection.execute(DropTable(table, if_exists=True))


def check_whole(connection: Connection, staged: Table, wanted: Staged, range_: OffsetRange) -> None:
    """Raises BatchError unless all rows of the range are there: a server that crashed has emptied unlogged tables."""
    try:
        found = connection.execute(select(func.count()).select_from(staged)).scalar_one()
    except (ProgrammingError, OperationalError) as e:
        if e.connection_invalidated or (hasattr(e.orig, "sqlstate") and may_pass(e)):  # a lock, for one
            raise
        raise BatchError(
            f"the staged rows of {range_} are not in the offsets' database: {e.orig}",
            "let the sink's url name the database of [offsets] store; if it does, launch again: nothing was committed",
        ) from e
    if found != wanted.rows:
        raise BatchError(
            f"{found:,} of {wanted.rows:,} staged rows of {range_} are there: was the database restarted?",
            "launch again: nothing was committed",
        )


def existing(connection: Connection) -> list[str]:
    """The names of the tables among which staged ones are."""
    return inspect(connection).get_table_names()
