"""The register as a numbered log (protocol.md section 6): ``state/<20 digits>.json``, the newest wins.

A number is taken by a rename that never clobbers.  That alone is not enough: a writer that slept while its number was
taken and deleted by GC could take it again.  So a write counts only if a second look finds it to be the newest, right
behind what was expected.  Nothing here falls back to an older state, or deletes the newest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from offsets.deadline import PAUSE_SECONDS, Deadline
from offsets.errors import SinkError, StoreError, StreamError, UnavailableError
from offsets.failpoints import reach
from offsets.filesystems import Filesystem
from offsets.stores.base import RETAIN, Versioned, check_size
from offsets.stores.numbered_files import NumberedFiles
from offsets.stores.verdicts import fenced, other_register
from offsets.structs import Owner

FEWEST = 2  # a write is told from one in a log that was made anew by what stands before it
DELETE_AT_ONCE = 100  # after one write: a log that is suddenly to be shorter must not hold up a batch for minutes


class Lock(Protocol):
    """A store's lock, see OffsetStore."""

    @property
    def dead_holder_seconds(self) -> float: ...

    def acquire(self, owner: Owner, wait: float) -> None: ...

    def release(self) -> None:
        """Free at once.  Does nothing if it is not held here; never raises."""

    def holder(self) -> Owner | None: ...


class LogStore:
    """The log in the folder `state` of a filesystem whose rename is atomic also for racers.

    The version is the state's number, beginning with 0.  ``retain``: states that are kept.  ``deadline``: seconds that
    a call waits for a server before it raises UnavailableError.
    """

    def __init__(
        self, url: str, filesystem: Filesystem, lock: Lock, retain: int = RETAIN, deadline: float = 15.0
    ) -> None:
        self.url, self._deadline = url, deadline
        self._lock, self._states = lock, NumberedFiles(filesystem, "state")
        self._retain = max(retain, FEWEST)
        self._kept: list[int] | None = None  # all numbers that there are, once they were listed

    @property
    def dead_holder_seconds(self) -> float:
        return self._lock.dead_holder_seconds

    def load(self) -> Versioned | None:
        with _refusals():
            newest, _ = Deadline(self._deadline).patiently(lambda: self._look(None))
        return newest

    def states(self, limit: int) -> list[Versioned]:
        with _refusals():
            return Deadline(self._deadline).patiently(lambda: self._newest(limit))

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        check_size(state)
        reach("replace.before")
        with _refusals():
            written = self._write(expected, bytes(state), Deadline(self._deadline))
        self._collect_garbage(written.version)
        reach("replace.after")
        return written

    @contextmanager
    def lock(self, owner: Owner, wait: float) -> Iterator[None]:
        with _refusals():
            self._lock.acquire(owner, wait)
        try:
            yield
        finally:
            self._lock.release()

    def holder(self) -> Owner | None:
        with _refusals():
            return self._lock.holder()

    def close(self) -> None:
        self._lock.release()

    def _write(self, expected: Versioned | None, state: bytes, until: Deadline) -> Versioned:
        """Sends the same bytes until a look tells what became of them."""
        until.patiently(lambda: outcome(self.url, expected, None, *self._look(expected)))
        while True:
            failure = self._send(expected.version + 1 if expected else 0, state)
            if written := until.patiently(lambda: outcome(self.url, expected, state, *self._look(expected))):
                reach("relist.after")
                return written
            if not until.left():
                raise failure
            time.sleep(PAUSE_SECONDS)

    def _send(self, number: int, state: bytes) -> UnavailableError:
        """Tries to take the number.  Returns what to say if that turns out not to have been done."""
        try:
            self._states.take(number, state)
        except UnavailableError as e:
            return e
        except (FileExistsError, FileNotFoundError):  # whose it is, or why, the look will say
            pass
        return UnavailableError(f"state {number} could not be written to {self.url}", "launch again")

    def _look(self, expected: Versioned | None) -> tuple[Versioned | None, bool]:
        """The newest state, none if all are older than `expected`; and whether that is still what it was."""
        found = self._states.found(expected.version if expected else 0)
        try:
            newest = (
                Versioned(number, self._states.read(found[number])) if (number := max(found, default=-1)) >= 0 else None
            )
            if expected is None:
                return newest, True
            then = found.get(expected.version)
            return newest, then is not None and self._states.read(then) == expected.state
        except FileNotFoundError as e:  # GC came between the listing and here: there are newer ones
            raise UnavailableError(f"states vanish while they are read in {self.url}: {e}", "launch again") from e

    def _newest(self, limit: int) -> list[Versioned]:
        found = self._states.found()
        states: list[Versioned] = []
        for number in sorted(found, reverse=True)[:limit]:
            try:
                states.append(Versioned(number, self._states.read(found[number])))
            except FileNotFoundError as e:
                if not states:  # not by GC alone: others have written meanwhile
                    raise UnavailableError(f"states vanish while they are read in {self.url}: {e}", "try again") from e
        return states

    def _collect_garbage(self, newest: int) -> None:
        """Deletes what is due below `newest`.  The first time looks for all of it.  Failures wait for the next time."""
        with suppress(StreamError):
            if self._kept is None:
                self._states.delete_temps(newest)
                self._kept = list(self._states.found())
            elif self._kept[-1] < newest:
                self._kept.append(newest)
            for number in self._kept[:DELETE_AT_ONCE]:
                if number > newest - self._retain:
                    break
                reach("gc.each")
                self._states.delete(number)
                self._kept.remove(number)


def outcome(
    url: str, expected: Versioned | None, state: bytes | None, newest: Versioned | None, intact: bool
) -> Versioned | None:
    """What became of a write of `state` (None: nothing was sent): `newest` if that is it, None if nothing has changed.

    `newest`: as of now; `intact`: whether `expected` is still there as it was.
    """
    if newest == expected:
        return None
    if newest is None or (expected and newest.version == expected.version):
        raise other_register(url, "it was deleted, put back or created again")
    if state is None or newest != Versioned(expected.version + 1 if expected else 0, state):
        raise fenced(url, expected)
    if not intact:
        raise other_register(url, "it was deleted and created again")
    return newest


@contextmanager
def _refusals() -> Iterator[None]:
    """A filesystem's refusal, as a store's."""
    try:
        yield
    except SinkError as e:
        raise StoreError(f"offset store: {e}", e.remedy) from e
