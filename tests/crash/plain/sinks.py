"""Direct sinks of the crash suite's jobs: one SQLite file for each tuple, keyed or append-only.

Nothing is locked while the records are read: a driver that is frozen there keeps nobody else from writing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from offsets.structs import OffsetRange
from streaming.records import Record
from tests.crash.plain.function import row

PLACE = "CRASH_SUITE_DATABASE"  # a sink is made without arguments
TABLES = """
create table if not exists keyed (p integer, o integer, key text, value text, primary key (p, o));
create table if not exists appended (p integer, o integer, key text, value text);
create table if not exists written (p integer, start integer, until integer);
"""


@contextmanager
def database(path: str) -> Iterator[sqlite3.Connection]:
    """With its tables; what the block does is one transaction."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        connection.executescript(TABLES)
        with connection:
            yield connection


class _Sink:
    statement: str

    def write_partition(self, range_: OffsetRange, records: Iterable[Record]) -> None:
        rows = [row(record) for record in records]
        with database(os.environ[PLACE]) as connection:
            connection.executemany(self.statement, [(r["partition"], r["offset"], r["key"], r["value"]) for r in rows])
            span = range_.partition, range_.from_offset, range_.until_offset
            connection.execute("insert into written values (?, ?, ?)", span)


class Upsert(_Sink):
    """Writing a record again changes nothing."""

    idempotent = True
    statement = "insert or replace into keyed values (?, ?, ?, ?)"


class Append(_Sink):
    """Writing a record again doubles it."""

    idempotent = False
    statement = "insert into appended values (?, ?, ?, ?)"


def place(job: str) -> str:
    """Of the database that belongs to a job file."""
    return str(Path(job).with_suffix(".sqlite"))


def received(job: str) -> list[dict[str, Any]]:
    """Every row that the sink has, as often as it is there."""
    with database(place(job)) as connection:
        found = connection.execute("select * from keyed union all select * from appended").fetchall()
    return [dict(zip(("partition", "offset", "key", "value"), each, strict=True)) for each in found]


def spans(job: str) -> list[tuple[int, int, int]]:
    """Each partition, from and until that a write has ended for, as often as that was."""
    with database(place(job)) as connection:
        return connection.execute("select * from written").fetchall()
