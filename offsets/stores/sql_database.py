"""A database as the offset store, and a sink beside it, need it: every wait for an answer has an end.

psycopg waits for an answer as long as the connection lives.  So whoever waits does that under `answering`, which shuts
the connections down when time is up; the wait then ends with an error.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.pool import NullPool, QueuePool

from offsets import disk
from offsets.deadline import Deadline
from offsets.errors import StoreError
from offsets.stores.sql_errors import explained, unavailable
from offsets.stores.sql_tables import have_tables, make_tables
from offsets.stores.urls import sql_url

ATTEMPTS = 3  # to connect, within a deadline
SHORTEST_CONNECT = 2  # seconds, psycopg's own
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}  # a dead server is seen in 11 s
READING = {"kds_reading": True}  # an option of a connection: takes no lock that keeps others from writing


class Database:
    """``seconds``: within which a server must answer; ``settings``: PostgreSQL's, for each session.

    ``path``: SQLite's file, which only `make_tables` makes; empty for PostgreSQL.
    """

    def __init__(self, url: str, seconds: float, settings: dict[str, str] | None = None) -> None:
        self.url, self._seconds, self._settings = url, seconds, settings or {}
        self.parts = sql_url(url)
        self.path = self.parts.database if self.parts.scheme == "sqlite" else ""
        self._open: WeakSet[Any] = WeakSet()
        self._guard = threading.Lock()
        self._has_tables = False
        self.engine = self._sqlite() if self.path else self._postgresql()

    def exists(self) -> bool:
        """Whether there is a file, for SQLite."""
        return not self.path or os.path.exists(self.path)

    def make_tables(self, until: Deadline) -> None:
        """Makes what is not there yet: SQLite's file, the tables of registers."""
        if not self.exists():
            self._make_file()
        with self.connected(until) as connection, self.answering(until), connection.begin():
            if not self._have_tables(connection):
                make_tables(connection)

    @contextmanager
    def looking(self, until: Deadline) -> Iterator[Connection | None]:
        """A connection to read the tables; None if they were never made."""
        if not self.exists():
            yield None
            return
        with self.connected(until, reading=True) as connection, self.answering(until):
            yield connection if self._have_tables(connection) else None

    def _have_tables(self, connection: Connection) -> bool:
        """Asked once of a server; a file may be another one the next time."""
        if self.path:
            return have_tables(connection)
        self._has_tables = self._has_tables or have_tables(connection)
        return self._has_tables

    def _make_file(self) -> None:
        try:
            disk.make_folders(folder := os.path.dirname(self.path))
            connection = sqlite3.connect(self.path, timeout=self._seconds)
            try:
                connection.execute("PRAGMA journal_mode=WAL")  # so that who reads keeps nobody from writing
            finally:
                connection.close()
            disk.sync_folder(folder)
        except OSError as e:
            where = e.filename or self.path
            raise StoreError(f"offset store: {where}: {e.strerror or e}", disk.remedy(e.errno, folder)) from e
        except sqlite3.OperationalError:
            pass  # whoever opens it next gets the same, and explains it

    @contextmanager
    def connected(self, until: Deadline, reading: bool = False) -> Iterator[Connection]:
        """A connection.  After an error inside the block it is closed, and what its transaction did is undone."""
        with self.explaining():
            with self.answering(until):
                connection = self.engine.connect()
            try:
                yield connection.execution_options(**READING) if reading else connection
                with self.answering(Deadline(self._seconds)):  # what was done is done, however late it is
                    connection.close()
            except BaseException:
                connection.invalidate()
                connection.close()
                raise

    @contextmanager
    def answering(self, until: Deadline) -> Iterator[None]:
        """Ends the waits of its block with an error when time is up."""
        if self.path:
            yield  # SQLite's own timeout
            return
        if not until.left():
            raise unavailable(self.url, f"not within {until.seconds:g} s")
        timer = threading.Timer(until.left(), self.cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def cut_off(self) -> None:
        """Shuts down all connections: who waits for one, in whatever thread, gets an error."""
        with self._guard:
            found = [connection for connection in self._open if not connection.closed]
        for connection in found:
            with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes all connections that nobody uses now."""
        self.engine.dispose()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Errors of the database inside the block are told as this project's."""
        try:
            yield
        except (DBAPIError, TimeoutError) as e:
            raise explained(e, self.url, self.path) from e

    def _sqlite(self) -> Engine:
        def connect() -> sqlite3.Connection:
            file = f"file:{quote(self.path)}?mode=rw"
            seconds = self._seconds / ATTEMPTS
            return sqlite3.connect(file, seconds, isolation_level=None, check_same_thread=False, uri=True)

        # A connection of its own each time: one that is kept would write on into a file that was deleted or replaced.
        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        event.listen(engine, "begin", _begin)
        return engine

    def _postgresql(self) -> Engine:
        import psycopg  # only for those who use it

        _, user, host, port, database, _ = self.parts
        where: dict[str, Any] = {"host": host, "port": port, "dbname": database, "user": user}
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        timeout = max(SHORTEST_CONNECT, int(self._seconds / ATTEMPTS))
        where |= {"connect_timeout": timeout, "tcp_user_timeout": int(self._seconds * 1000), **KEEPALIVES}

        def connect() -> Any:
            connection = psycopg.connect(options=options, **where)
            with self._guard:
                self._open.add(connection)
            return connection

        url = URL.create("postgresql+psycopg", host=host, port=port, database=database)
        return create_engine(url, creator=connect, poolclass=QueuePool, isolation_level="READ COMMITTED")


def _begin(connection: Connection) -> None:
    """Takes SQLite's one write lock at once: taken later, it fails where another has written meanwhile."""
    reading = connection.get_execution_options().get(next(iter(READING)))
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
