"""PostgreSQL's advisory lock, held by a session of its own: the server frees it when that session ends.

The holder gives a sign of life several times within a session timeout.  A session without one is ended by the server,
by its own clock: so a holder that is frozen, or whose host is gone, loses the lock, as with ZooKeeper.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from sqlalchemy import Connection, insert, select, text, update

from offsets.deadline import Deadline
from offsets.errors import AlreadyRunningError, ConfigError, StreamError
from offsets.owners import owner_from_json, owner_to_json
from offsets.stores.lease_lock import LONGEST_SESSION, RENEWALS, SLACK_SECONDS
from offsets.stores.sql_database import Database
from offsets.stores.sql_tables import HOLDERS
from offsets.structs import Owner

POLL_SECONDS = 0.05
RELEASE_SECONDS = 2.0  # longest wait for the server to confirm; it frees the lock by itself otherwise

_TRY = text("SELECT pg_try_advisory_lock(CAST(:key AS bigint))")
_FREE = text("SELECT pg_advisory_unlock_all()")
_BEAT = text("SELECT 1")
_PID = text("SELECT pg_backend_pid()")
# A key of 64 bits is shown in two halves.
_HOLDER = text(
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (CAST(classid AS bigint) << 32 | CAST(objid AS bigint)) = CAST(:key AS bigint)"
)

log = logging.getLogger(__name__)

T = TypeVar("T")


class AdvisoryLock:
    """The lock of the register that `url` names.  ``session_timeout``: seconds without a sign of life."""

    def __init__(self, url: str, session_timeout: float, deadline: float) -> None:
        if not 0 < session_timeout <= LONGEST_SESSION:
            raise ConfigError([f"a session of {session_timeout:g} s: at most {LONGEST_SESSION:g} s"])
        self._url, self._timeout, self._deadline = url, session_timeout, deadline
        self._database = Database(url, deadline, {"idle_session_timeout": str(int(session_timeout * 1000))})
        self._name = self._database.parts.register
        self._key = key_of(self._name)
        self._connection: Connection | None = None
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None

    @property
    def dead_holder_seconds(self) -> float:
        return self._timeout + SLACK_SECONDS

    def acquire(self, owner: Owner, wait: float) -> None:
        """Raises AlreadyRunningError after `wait` seconds, UnavailableError when the server does not answer."""
        began = time.monotonic()
        try:
            while not self._patiently(lambda until: self._try(owner, until)):
                if time.monotonic() - began >= wait:
                    raise AlreadyRunningError(self.holder(), "unknown", time.monotonic() - began)
                time.sleep(POLL_SECONDS)
        except BaseException:
            self._drop()
            raise
        self._stop.clear()
        self._beating = threading.Thread(target=self._beat, args=(owner,), daemon=True)
        self._beating.start()

    def release(self) -> None:
        """Free at once.  Does nothing if it is not held here; never raises."""
        beating, self._beating = self._beating, None
        self._stop.set()
        if beating is not None:
            beating.join(RELEASE_SECONDS)
            if beating.is_alive():
                self._database.cut_off()
                beating.join()
        if self._connection is not None:
            with suppress(StreamError), self._asking(Deadline(RELEASE_SECONDS)) as connection:
                connection.execute(_FREE)
        self._drop()
        self._database.close()

    def holder(self) -> Owner | None:
        return self._patiently(self._seen)

    def _try(self, owner: Owner, until: Deadline) -> bool:
        """Whether this session holds the lock now."""
        if self._connection is None:
            self._database.make_tables(until)
        with self._asking(until) as connection:
            if not connection.scalar(_TRY, {"key": self._key}):
                return False
            said = {"pid": connection.scalar(_PID), "owner": owner_to_json(owner)}
            mine = update(HOLDERS).filter_by(name=self._name).values(**said)
            if not connection.execute(mine).rowcount:
                connection.execute(insert(HOLDERS).values(name=self._name, **said))
            return True

    def _seen(self, until: Deadline) -> Owner | None:
        with self._database.looking(until) as connection:
            if connection is None:
                return None
            pid = connection.scalar(_HOLDER, {"key": self._key})
            said = connection.scalar(select(HOLDERS.c.owner).filter_by(name=self._name, pid=pid))
        return owner_from_json(said.encode()) if said else None

    def _beat(self, owner: Owner) -> None:
        """Signs of life.  A session that has ended is followed by another, as long as the lock is free."""
        while not self._stop.wait(self._timeout / RENEWALS):
            try:
                if self._connection is None and not self._try(owner, Deadline(self._timeout)):
                    log.warning("the lock of %s was lost while the database could not be reached", self._url)
                    return
                with self._asking(Deadline(self._timeout)) as connection:
                    connection.execute(_BEAT)
            except StreamError as e:
                log.info("lock: %s", e)

    @contextmanager
    def _asking(self, until: Deadline) -> Iterator[Connection]:
        """The lock's session, a new one if there is none; after an error it is ended, and the lock is free."""
        with self._database.explaining(), self._database.answering(until):
            try:
                if self._connection is None:
                    new = self._database.engine.connect()
                    self._connection = new.execution_options(isolation_level="AUTOCOMMIT")
                yield self._connection
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _patiently(self, ask: Callable[[Deadline], T]) -> T:
        until = Deadline(self._deadline)
        return until.patiently(lambda: ask(until))


def key_of(register: str) -> int:
    """PostgreSQL's locks are named by 64 bits, with a sign."""
    return int.from_bytes(hashlib.sha256(f"kds register {register}".encode()).digest()[:8], "big", signed=True)
