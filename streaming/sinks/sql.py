"""A sink that writes a table of PostgreSQL or SQLite: subclass SqlSink, say which table, and make a row of a record."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from offsets.deadline import Deadline
from offsets.errors import BatchError, UnavailableError
from offsets.nearest import nearest
from offsets.stores.sql_database import Database
from offsets.stores.sql_errors import may_pass
from offsets.stores.urls import SQL, check_store_url
from offsets.structs import OffsetRange
from streaming.records import Record
from streaming.sinks.contracts import SinkBatch
from streaming.sinks.current import BatchPlace, current_batch
from streaming.sinks.sql_staging import (
    PREFIX,
    Staged,
    check_whole,
    drop,
    existing,
    leftovers,
    load,
    merge,
    numbered,
    staged_name,
    staging_table,
)

APPEND, UPSERT = MODES = ("append", "upsert")
REFUSED = "correct row(), or the table and what it holds; then launch again: nothing of the batch is committed"
SECONDS = 30.0  # in which the database must be reached, and garbage dropped


class SqlSink:
    """Writes rows into one table, each batch in the transaction that commits its offsets, so each record once.

    Class attributes say where; `row` says what.  Tasks load rows in bulk into tables of their own, which the driver
    copies from and drops in that transaction.  With `transactional = False` each range is a transaction of its own,
    and offsets may be in any store: then an append is not idempotent.  An upsert is, but where rows of a key change: a
    task that was cut off from the driver may write older ones over newer ones.  With transactions it changes nothing.
    """

    url: str
    """postgresql://user@host:port/database or sqlite:////file, as for [offsets] store; never with a password."""
    table: Table | str
    """SQLAlchemy's Table, or the name of one ("name" or "schema.name") that is looked up.  It must exist."""
    columns: Sequence[str] = ()
    """Those that rows have values for; all of the table's if none are named.  A row without one of them has NULL."""
    mode: str = APPEND
    """Or "upsert": a row replaces the one of the same key, of two in a batch the later one counts."""
    key: Sequence[str] = ()
    """Of "upsert": columns with a unique index over exactly these, none of them NULL."""
    transactional: bool = True

    def __init__(self) -> None:
        """Raises ValueError for what the attributes have wrong, all at once.  Connects to nothing."""
        if problems := self._problems():
            raise ValueError("; ".join(problems))

    @property
    def idempotent(self) -> bool:
        """Of interest with `transactional = False` only."""
        return self.mode == UPSERT

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """Executor: values by column name, or None to leave the record out."""
        raise NotImplementedError(f"{type(self).__name__} must define row(record)")

    def write_partition(self, range_: OffsetRange, records: Iterable[Record]) -> Staged | None:
        """Executor: stages the range, or without a transaction writes it."""
        with self._connected() as connection:
            with connection.begin():
                target = self._target(connection)
            staged = self._staged(target)
            rows = numbered(map(self.row, records), [c.name for c in self._written(target)])
            count = load(connection, staged, rows)
            if self.transactional:
                return Staged(staged.name, count)
            with connection.begin():
                merge(connection, staged, target, self._key)
                drop(connection, staged)
        return None

    def commit_batch(
        self, connection: Connection, batch: SinkBatch, results: Sequence[tuple[OffsetRange, Staged]]
    ) -> None:
        """Driver: copies what was staged into the table, range by range, and drops it."""
        with self._refused_told():
            target = self._target(connection)
            for range_, result in results:
                staged = staging_table(result.table, self._written(target), "")
                check_whole(connection, staged, result, range_)
                merge(connection, staged, target, self._key)
                drop(connection, staged)

    def collect_garbage(self, batch: BatchPlace) -> None:
        """Driver: drops what tasks of batches before this one have staged; for others that hold it it waits a while."""
        with self._connected() as connection, self._database.answering(Deadline(SECONDS)):
            with connection.begin():
                old = leftovers(existing(connection), batch)
            for name in old:  # each by itself: a late attempt may hold one
                with connection.begin():
                    drop(connection, Table(name, MetaData()))

    def _problems(self) -> list[str]:
        lacking = [name for name in ("url", "table") if not hasattr(self, name)]
        if lacking:
            return [f"{type(self).__name__} must say its {' and its '.join(lacking)}"]
        problems = check_store_url(self.url)
        if not problems and not self.url.startswith(SQL):
            problems = [f"url must name a database: {' or '.join(f'{name}:' for name in SQL)}"]
        if self.mode not in MODES:
            problems.append(f"mode = {self.mode!r}: {' or '.join(MODES)}")
        if (self.mode == UPSERT) != bool(self.key):
            problems.append('mode = "upsert" needs a key = (column, ...), and only that')
        if isinstance(self.key, str) or isinstance(self.columns, str):
            problems.append("key and columns are tuples of names")
        return problems

    @property
    def _key(self) -> Sequence[str]:
        return self.key if self.mode == UPSERT else ()

    @cached_property
    def _database(self) -> Database:
        return Database(self.url, SECONDS)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """UnavailableError for what may pass by itself; a connection that has seen an error is not used again."""
        try:
            with self._refused_told(), self._database.engine.connect() as connection:
                try:
                    yield connection
                except BaseException:
                    connection.invalidate()
                    raise
        except DBAPIError as e:
            told = f"the database of {self.url} does not answer: {e.orig}"
            raise UnavailableError(told, "see that it runs, then launch again") from e

    @contextmanager
    def _refused_told(self) -> Iterator[None]:
        """BatchError for what the database refuses, in its own words; what may pass goes on as it is."""
        try:
            yield
        except DBAPIError as e:
            if may_pass(e):
                raise
            said = " ".join(str(e.orig).split())
            raise BatchError(f"{type(self).__name__} into {self.table}: {said:.500}", REFUSED) from e

    def _target(self, connection: Connection) -> Table:
        if not isinstance(self.table, Table):
            self.table = self._found(connection, self.table)
        return self.table

    def _found(self, connection: Connection, name: str) -> Table:
        schema, _, table = name.rpartition(".")
        try:
            return Table(table, MetaData(), schema=schema or None, autoload_with=connection)
        except NoSuchTableError as e:
            others = [other for other in existing(connection) if not other.startswith(PREFIX)]
            raise ValueError(f"there is no table {name} in {self.url}{nearest(table, others)}") from e

    def _written(self, target: Table) -> list[Column[Any]]:
        names = {column.name: column for column in target.columns}
        wanted = [*(self.columns or names)]
        if unknown := [name for name in (*wanted, *self._key) if name not in names]:
            raise ValueError(f"the table {target.fullname} has no column {unknown[0]}{nearest(unknown[0], names)}")
        return [names[name] for name in wanted]

    def _staged(self, target: Table) -> Table:
        if not self.transactional:
            return staging_table(f"{PREFIX}_{uuid.uuid4().hex}", self._written(target), "TEMPORARY")
        unlogged = "UNLOGGED" if self._database.engine.dialect.name == "postgresql" else ""
        return staging_table(staged_name(current_batch()), self._written(target), unlogged)
