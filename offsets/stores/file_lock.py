"""A lock on one file of the local disk, held by the kernel: it is free the moment its holder is dead, however it died.

The file also says who holds it, for people; that text decides nothing and is believed only while the lock is held.
The file is never removed: a second launch must find the same one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from offsets.disk import make_folders, remedy
from offsets.errors import AlreadyRunningError, StoreError
from offsets.owners import owner_from_json, owner_to_json
from offsets.structs import Owner

POLL_SECONDS = 0.05  # flock has no timeout of its own
SHORTEST_WAIT = 0.2  # a look by holder() in another process takes the lock for an instant


class FileLock:
    """Exclusive among all that open ``path``, also within one process.  Its folder is made by ``acquire``."""

    dead_holder_seconds = 1.0  # the kernel frees it with the process; the rest is for the poll

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, owner: Owner, wait: float) -> None:
        """Raises AlreadyRunningError after `wait` seconds."""
        with _explained(self._path):
            make_folders(os.path.dirname(self._path))
            self._fd = self._acquired(owner, wait)

    def _acquired(self, owner: Owner, wait: float) -> int:
        fd, began = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), time.monotonic()  # not inherited by programs
        try:
            while not _try(fd, fcntl.LOCK_EX):
                if time.monotonic() - began >= max(wait, SHORTEST_WAIT):
                    raise AlreadyRunningError(_read_owner(fd), "unknown", time.monotonic() - began)
                time.sleep(POLL_SECONDS)
            os.ftruncate(fd, 0)
            os.pwrite(fd, owner_to_json(owner).encode() + b"\n", 0)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def release(self) -> None:
        """Free at once.  Does nothing if it is not held here."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):  # a full disk must not keep the lock
                os.ftruncate(fd, 0)
            os.close(fd)

    def holder(self) -> Owner | None:
        """None while the lock is free, whatever a dead holder has left in the file."""
        with _explained(self._path):
            try:
                fd = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            try:
                return None if _try(fd, fcntl.LOCK_SH) else _read_owner(fd)
            finally:
                os.close(fd)


def _try(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_owner(fd: int) -> Owner | None:
    return owner_from_json(os.pread(fd, 4096, 0))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        where = e.filename or path
        raise StoreError(f"offset store: {where}: {e.strerror or e}", remedy(e.errno, os.path.dirname(path))) from e
