"""What an error of a database means for a run: wait, or say what a person has to do."""

from __future__ import annotations

import errno
import os
from typing import Any

from sqlalchemy.exc import DBAPIError, TimeoutError

from offsets import disk
from offsets.errors import StateDamagedError, StoreError, StreamError, UnavailableError
from offsets.stores.verdicts import other_register

# PostgreSQL's classes of SQLSTATE: connection, serialization and deadlock, resources, locks, operator's doing.
_PASSING_CLASSES = ("08", "40", "53", "55", "57")
_PASSING = ("25P03",)  # idle in a transaction for too long
_FULL, _NO_TABLE = "53100", "42P01"
_POSTGRES = {
    "42501": "grant this user CREATE on the schema, and SELECT, INSERT, UPDATE and DELETE on the tables kds_*",
    "25006": "the server takes no writes: name the primary one in [offsets] store",
    _FULL: "make room on the database's disk, and launch again: nothing is lost",
}
# SQLite's result codes (https://sqlite.org/rescode.html), and the errno that says the same.
_BUSY = (5, 6, 15)  # BUSY, LOCKED, PROTOCOL
_DAMAGED = (11, 26)  # CORRUPT, NOTADB
_ERRNO = {3: errno.EACCES, 8: errno.EACCES, 14: errno.EACCES, 23: errno.EACCES, 13: errno.ENOSPC}


def may_pass(error: BaseException) -> bool:
    """Whether the same statement may succeed later without anybody's help."""
    if isinstance(error, TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if _is_sqlite(error.orig):
        return _sqlite_code(error.orig) in _BUSY
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is None:  # the connection's own: refused, broken, cut off
        return type(error.orig).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")
    return state != _FULL and (state[:2] in _PASSING_CLASSES or state in _PASSING)


def explained(error: DBAPIError | TimeoutError, url: str, path: str = "") -> StreamError:
    """As an error of the store at `url`.  `path`: SQLite's file."""
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    if may_pass(error):
        return unavailable(url, said)
    if isinstance(error, DBAPIError) and _is_sqlite(error.orig):
        code = _sqlite_code(error.orig)
        if code in _DAMAGED:
            return StateDamagedError(f"{path} is not a database of SQLite, or is damaged: {said}", "restore it")
        return StoreError(f"offset store: {path}: {said}", disk.remedy(_ERRNO.get(code), os.path.dirname(path)))
    state = str(getattr(getattr(error, "orig", None), "sqlstate", None))
    if state == _NO_TABLE:
        return other_register(url, "its tables are gone")
    remedy = _POSTGRES.get(state, "mend in the database what it complains of, and launch again")
    return StoreError(f"offset store {url}: {said}", remedy)


def unavailable(url: str, said: str) -> UnavailableError:
    """No answer, or one that says that there is none now."""
    return UnavailableError(
        f"the database of {url} did not answer in time: {said}",
        "see that it runs, and that [offsets] store names its host, port and database and a user whom it lets in "
        "(PGPASSWORD, PGPASSFILE), then launch again",
    )


def _is_sqlite(orig: Any) -> bool:
    return type(orig).__module__ == "sqlite3"


def _sqlite_code(orig: Any) -> int:
    """Python 3.10 does not tell: then whatever it is may pass."""
    return int(getattr(orig, "sqlite_errorcode", _BUSY[0])) & 0xFF
