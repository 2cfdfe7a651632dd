"""The register in a database: one row that says which state is the newest, and the states themselves.

A write is one transaction.  First the row is advanced if it still is what the writer expects, which locks it; then
come the state, the work of others (``replace_within``), and COMMIT.  A COMMIT without an answer is never simply sent
again: what is read back says whose write it was (rule U).  While nothing has changed the whole may be done again: the
first attempt was rolled back, or waits for its end with the row locked, and only one of the two finds it as expected.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from offsets.deadline import PAUSE_SECONDS, Deadline
from offsets.errors import StateDamagedError, UnavailableError
from offsets.failpoints import reach
from offsets.stores.base import Versioned, check_size
from offsets.stores.file_lock import FileLock
from offsets.stores.log_store import FEWEST, Lock
from offsets.stores.sql_database import Database
from offsets.stores.sql_errors import may_pass
from offsets.stores.sql_lock import AdvisoryLock
from offsets.stores.sql_tables import REGISTERS, STATES
from offsets.stores.verdicts import fenced, other_register
from offsets.structs import Owner


class _Refused(Exception):
    """The row is not what was expected."""


class _Raised(Exception):
    """What the work raised."""

    def __init__(self, error: DBAPIError) -> None:
        self.error = error


def open_sql_store(url: str, session_timeout: float, deadline: float, retain: int) -> SqlStore:
    """For a sound URL, arguments as of `open_store`."""
    # A driver that stands still in a transaction is taken for dead as soon as its lock is: others wait for its row.
    milliseconds = str(int(session_timeout * 1000))
    settings = {
        "idle_in_transaction_session_timeout": milliseconds,
        "lock_timeout": str(int(deadline * 1000)),
        "synchronous_commit": "on",  # whatever the server's default: what COMMIT has answered outlives a power cut
    }
    database = Database(url, deadline, settings)
    if database.path:
        lock: Lock = FileLock(f"{database.path}.{database.parts.register}.lock")
    else:
        lock = AdvisoryLock(url, session_timeout, deadline)
    return SqlStore(url, database, lock, retain, deadline)


class SqlStore:
    """A TransactionalStore in `database`.  ``retain``: states that are kept, the newest among them."""

    def __init__(self, url: str, database: Database, lock: Lock, retain: int, deadline: float) -> None:
        self.url, self._deadline, self._retain = url, deadline, max(retain, FEWEST)
        self._name = database.parts.register
        self._database, self._lock = database, lock

    @property
    def dead_holder_seconds(self) -> float:
        return self._lock.dead_holder_seconds

    def load(self) -> Versioned | None:
        until = Deadline(self._deadline)
        return until.patiently(lambda: self._read(until))

    def states(self, limit: int) -> list[Versioned]:
        until = Deadline(self._deadline)
        return until.patiently(lambda: self._kept(limit, until))

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        return self.replace_within(expected, state, lambda connection: None)

    def replace_within(self, expected: Versioned | None, state: bytes, work: Callable[[Connection], None]) -> Versioned:
        check_size(state)
        if expected is None:
            written = Versioned(0, bytes(state), secrets.randbits(62))
        else:
            written = Versioned(expected.version + 1, bytes(state), expected.incarnation)
        reach("replace.before")
        self._write(expected, written, work, Deadline(self._deadline))
        reach("replace.after")
        return written

    @contextmanager
    def lock(self, owner: Owner, wait: float) -> Iterator[None]:
        self._lock.acquire(owner, wait)
        try:
            yield
        finally:
            self._lock.release()

    def holder(self) -> Owner | None:
        return self._lock.holder()

    def close(self) -> None:
        self._lock.release()
        self._database.close()

    def _write(
        self, expected: Versioned | None, written: Versioned, work: Callable[[Connection], None], until: Deadline
    ) -> None:
        """Returns when `written` is there.  `unknown`: an earlier attempt may have landed, or may still."""
        unknown = False
        while True:
            try:
                return self._attempt(expected, written, work, until)
            except _Raised as e:
                raise e.error from None
            except _Refused:
                failure = UnavailableError(f"the register in {self.url} could not be written", "launch again")
            except UnavailableError as e:
                failure, unknown = e, True
            if outcome(self.url, expected, written, until.patiently(lambda: self._read(until))):
                if unknown:
                    return None
                raise fenced(self.url, expected)  # the same bytes, by an earlier call
            if not until.left():
                raise failure
            time.sleep(min(PAUSE_SECONDS, until.left()))

    def _attempt(
        self, expected: Versioned | None, written: Versioned, work: Callable[[Connection], None], until: Deadline
    ) -> None:
        """Raises _Refused if the row is not as expected: nothing was done; UnavailableError if that is not known."""
        if expected is None:
            self._database.make_tables(until)
        elif not self._database.exists():
            raise _Refused
        with self._database.connected(until) as connection:
            with self._database.answering(until):
                transaction = connection.begin()
                self._swap(connection, expected, written)
            with until.paused():
                _do(work, connection)
            with self._database.answering(until):
                transaction.commit()

    def _swap(self, connection: Connection, expected: Versioned | None, written: Versioned) -> None:
        """Advances the row, which stays locked; writes the state, and deletes those that are due."""
        key = {"name": self._name, "incarnation": written.incarnation}
        if expected is None:
            try:
                connection.execute(insert(REGISTERS).values(**key, version=written.version))
            except IntegrityError:
                raise _Refused from None
        else:
            then = {**key, "version": expected.version}
            same = select(STATES.c.version).filter_by(**then, state=expected.state).exists()
            advance = update(REGISTERS).filter_by(**then).where(same).values(version=written.version)
            if connection.execute(advance).rowcount != 1:
                raise _Refused
        connection.execute(insert(STATES).values(**key, version=written.version, state=written.state))
        due = STATES.c.version <= written.version - self._retain
        connection.execute(delete(STATES).filter_by(**key).where(due))

    def _read(self, until: Deadline) -> Versioned | None:
        found = self._kept(1, until)
        return found[0] if found else None

    def _kept(self, limit: int, until: Deadline) -> list[Versioned]:
        """The newest states, in one look; the first is the one that the row names."""
        join = (REGISTERS.c.name == STATES.c.name) & (REGISTERS.c.incarnation == STATES.c.incarnation)
        asked = select(REGISTERS, STATES.c.version.label("number"), STATES.c.state)
        asked = asked.join(STATES, join & (STATES.c.version <= REGISTERS.c.version), isouter=True)
        asked = asked.where(REGISTERS.c.name == self._name).order_by(STATES.c.version.desc()).limit(limit)
        with self._database.looking(until) as connection:
            rows = connection.execute(asked).all() if connection else []
        if rows and rows[0].number != rows[0].version:
            raise StateDamagedError(
                f"the register in {self.url} is in disorder: table {STATES.name} has no version {rows[0].version} of "
                f"{self._name}, which table {REGISTERS.name} names",
                "see what was done to the tables; another ?register= in [offsets] store is a fresh start",
            )
        return [Versioned(row.number, bytes(row.state), row.incarnation) for row in rows]


def outcome(url: str, expected: Versioned | None, written: Versioned, found: Versioned | None) -> bool:
    """What became of a write that was refused, or had no answer: whether it is there; False if nothing has changed."""
    if found in (expected, written):
        return found == written
    if expected is not None:
        if found is None:
            raise other_register(url, "it was deleted")
        if found.incarnation != expected.incarnation:
            raise other_register(url, "it was deleted and created again")
        if found.version <= expected.version:
            raise other_register(url, "it was put back")
    raise fenced(url, expected)


def _do(work: Callable[[Connection], None], connection: Connection) -> None:
    """The work; what the database says against it goes to the caller as it is, unless it may pass."""
    try:
        work(connection)
    except DBAPIError as e:
        if may_pass(e):
            raise
        raise _Raised(e) from e
