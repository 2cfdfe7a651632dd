"""The register as a numbered log on a local disk (protocol.md section 6): ``state/<20 digits>.json``, newest wins.

A number is taken by linking a finished file to it, which never clobbers.  That alone is not enough: a writer that slept
while its number was taken and deleted by GC could take it again.  So a write counts only if a second look finds it to
be the newest, right behind what was expected.  Nothing here falls back to an older state, or deletes the newest.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote

from offsets.disk import explained, make_folders, sync_folder, write_durably
from offsets.errors import FencedError, RegisterError, StateDamagedError
from offsets.failpoints import reach
from offsets.file_lock import FileLock
from offsets.store import Versioned, check_size
from offsets.structs import Owner

KEEP = 1000  # states, the newest among them: enough to see what happened, and far more than any reader lags behind
TEMP_SECONDS = 3600.0  # a temp this old has no writer that could still win
_STATE = re.compile(r"(\d{20})\.json")
_TEMP = re.compile(r"\.[0-9a-f]{32}\.tmp")
_LEAVE = "nothing to do: another run has taken over, and this one leaves"


class FileStore:
    """``file:///folder``: the log, and the lock beside it.  The folder is made on the first write or lock.

    The version is the state's number, beginning with 0.
    """

    dead_holder_seconds = 1.0  # the kernel frees the lock with the process; the rest is for the poll

    def __init__(self, url: str, keep: int = KEEP) -> None:
        self.url, self._keep = url, max(keep, 2)
        self._folder = unquote(url.removeprefix("file://"))
        self._states = os.path.join(self._folder, "state")
        self._lock = FileLock(os.path.join(self._folder, "lock"))

    def load(self) -> Versioned | None:
        with explained(self._states):
            return self._newest()

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        check_size(state)
        reach("replace.before")
        with explained(self._states):
            if expected is None:
                make_folders(self._states)
            self._check_unchanged(expected)
            number = expected.version + 1 if expected else 0
            self._link(expected, number, bytes(state))
            written = self._second_look(expected, Versioned(number, bytes(state)))
        self._collect_garbage()
        reach("replace.after")
        return written

    @contextmanager
    def lock(self, owner: Owner, wait: float) -> Iterator[None]:
        with explained(self._folder):
            make_folders(self._folder)
            self._lock.acquire(owner, wait)
        try:
            yield
        finally:
            self._lock.release()

    def holder(self) -> Owner | None:
        with explained(self._folder):
            return self._lock.holder()

    def close(self) -> None:
        self._lock.release()

    def _numbers(self) -> list[int]:
        """Of all states, ascending.  Raises StateDamagedError for a name that somebody took for a state's."""
        try:
            names = os.listdir(self._states)
        except FileNotFoundError:
            return []
        for name in names:
            if name[0].isdigit() and not _STATE.fullmatch(name):
                raise StateDamagedError(
                    f"{os.path.join(self._states, name)} is no state: states are named by 20 digits and .json",
                    "move it out of that folder; put an older state back only with the reset script",
                )
        return sorted(int(name[:20]) for name in names if _STATE.fullmatch(name))

    def _newest(self) -> Versioned | None:
        while numbers := self._numbers():
            if (state := self._read(numbers[-1])) is not None:
                return Versioned(numbers[-1], state)
        return None

    def _read(self, number: int) -> bytes | None:
        try:
            with open(self._path(number), "rb") as file:
                return file.read()
        except FileNotFoundError:  # GC came between the listing and here: there are newer ones
            return None
        except IsADirectoryError:
            raise StateDamagedError(
                f"{self._path(number)} is a folder, not a state", "find out who made it, and move it away"
            ) from None

    def _path(self, number: int) -> str:
        return os.path.join(self._states, f"{number:020}.json")

    def _check_unchanged(self, expected: Versioned | None) -> None:
        """Not what safety rests on, but it keeps a late writer out of a log that it has no business in."""
        newest = self._newest()
        if newest == expected:
            return
        if expected and (newest is None or newest.version <= expected.version):
            raise self._recreated(expected)
        raise self._fenced(expected)

    def _link(self, expected: Versioned | None, number: int, state: bytes) -> None:
        """Takes the number if it is free: complete and on disk before it has its name, and never over another."""
        temp = os.path.join(self._states, f".{uuid.uuid4().hex}.tmp")
        try:
            write_durably(temp, state)
            reach("temp.after")
            reach("rename.before")
            os.link(temp, self._path(number))
            reach("rename.after")
        except FileExistsError:  # the second look says whose it is: a network's file system may have sent mine twice
            pass
        except FileNotFoundError:  # slept so long that the temp was collected
            self._check_unchanged(expected)
            raise
        finally:
            with suppress(OSError):
                os.unlink(temp)
        sync_folder(self._states)

    def _second_look(self, expected: Versioned | None, mine: Versioned) -> Versioned:
        """The write counts only if it is the newest, holds these bytes and follows what was expected."""
        newest = self._newest()
        if newest != mine:
            raise self._fenced(expected)
        if expected and self._read(expected.version) != expected.state:
            raise self._recreated(expected)
        reach("relist.after")
        return mine

    def _collect_garbage(self) -> None:
        """Deletes states far below the newest, and temps of writers long dead.  Failures wait for the next time."""
        with suppress(OSError):
            numbers, names = self._numbers(), os.listdir(self._states)
            old = [self._path(number) for number in numbers[: -self._keep]]
            temps = (os.path.join(self._states, name) for name in names if _TEMP.fullmatch(name))
            for path in (*old, *filter(_is_abandoned, temps)):
                reach("gc.each")
                with suppress(FileNotFoundError):  # another collector was quicker
                    os.unlink(path)

    def _fenced(self, expected: Versioned | None) -> FencedError:
        was = f"state {expected.version}" if expected else "no register"
        return FencedError(f"the register in {self.url} was written by another driver: it is past {was}", _LEAVE)

    def _recreated(self, expected: Versioned) -> RegisterError:
        return RegisterError(
            f"the register in {self.url} is not the one that this run has read: state {expected.version} is gone"
            " or another, so it was deleted, put back or created again",
            "stop all runs on it; find out who did it, and mend the register before the next launch",
        )


def _is_abandoned(temp: str) -> bool:
    try:
        return os.stat(temp).st_mtime < time.time() - TEMP_SECONDS
    except FileNotFoundError:  # its writer has just finished
        return False
