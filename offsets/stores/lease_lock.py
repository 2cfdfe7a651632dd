"""A lock without a server that watches its holder: the holder touches its lease, others see whether it still moves.

No clocks of two hosts are compared.  A lease that has not changed for a session timeout, while this very process
watched it, is dead; who then gets the next number holds the lock.  Politeness only, like every lock here: a holder
that was slow or cut off for longer loses it, notices, and is fenced at the register if the other goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from offsets.deadline import Deadline
from offsets.errors import AlreadyRunningError, ConfigError, StreamError, UnavailableError
from offsets.filesystems import FileStatus, Filesystem
from offsets.owners import owner_from_json, owner_to_json
from offsets.stores.numbered_files import NumberedFiles
from offsets.structs import Owner

LONGEST_SESSION = 12.0  # so that a dead holder is noticed within 15 s
SLACK_SECONDS = 3.0  # for the polls, and for taking the lock
POLLS, RENEWALS = 20, 4  # within one session timeout
LONGEST_GAP = 3  # polls, between two looks

log = logging.getLogger(__name__)


class Watch:
    """Tells a lease that stopped moving; `clock`: monotonic seconds."""

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout, self._clock = timeout, clock
        self._seen: FileStatus | None = None
        self._looked, self._still = clock(), 0.0

    def dead(self, lease: FileStatus) -> bool:
        """Whether it has been the same at every look for the timeout.  Time without looks hardly counts.

        A watcher that was stopped itself, or had no server to ask, cannot tell what the holder did in that time.
        """
        now = self._clock()
        gap = min(now - self._looked, LONGEST_GAP * self._timeout / POLLS)
        self._still = self._still + gap if lease == self._seen else 0.0
        self._seen, self._looked = lease, now
        return self._still >= self._timeout

    def again(self) -> None:
        """Begins from nothing: the server was not fit for a holder's sign of life either."""
        self._still = 0.0


class Claim:
    """One launch's attempts to get the lock for `mine`, its own text."""

    def __init__(self, leases: NumberedFiles, mine: bytes, watch: Watch) -> None:
        self._leases, self._mine, self._watch = leases, mine, watch
        self._sent = False

    def attempt(self) -> int | None:
        """The number of the lease that this launch now holds, None while another one does.  May be tried again."""
        found = self._leases.found()
        newest = max(found, default=-1)
        try:
            if self._sent and found and self._leases.read(found[newest]) == self._mine:
                return self._confirmed(newest)  # a reply was lost
        except FileNotFoundError:
            return None
        if found and not self._watch.dead(found[newest]):
            return None
        return self._take(newest + 1)

    def _take(self, number: int) -> int | None:
        self._sent = True
        try:
            self._leases.take(number, self._mine)
        except (FileExistsError, FileNotFoundError):
            return None
        except UnavailableError:
            self._watch.again()  # whoever holds it could not give a sign of life either
            raise
        return self._confirmed(number)

    def _confirmed(self, number: int) -> int | None:
        """Only the newest counts; all before it are over."""
        found = self._leases.found()
        gone = [n for n in found if n < number] if max(found, default=-1) == number else [number]
        with suppress(StreamError):  # what stays is older than a lease that moves
            for other in gone:
                self._leases.delete(other)
            self._leases.delete_temps(number)
        return None if number in gone else number


class LeaseLock:
    """The lease is the newest of the numbered files in the folder `lock`, and says who holds it.

    ``session_timeout``: seconds without a sign of life after which a lease is dead; the filesystem's answers should
    be due within a part of that.  ``deadline``: seconds to wait for a server.
    """

    def __init__(self, filesystem: Filesystem, session_timeout: float, deadline: float) -> None:
        if not 0 < session_timeout <= LONGEST_SESSION:
            raise ConfigError([f"a session of {session_timeout:g} s: at most {LONGEST_SESSION:g} s"])
        self._where, self._leases = filesystem.url, NumberedFiles(filesystem, "lock")
        self._timeout, self._deadline = session_timeout, deadline
        self._mine = b""  # the lease's own text
        self._held: tuple[int, threading.Event] | None = None  # the number, and what ends its renewal

    @property
    def dead_holder_seconds(self) -> float:
        return self._timeout + SLACK_SECONDS

    def acquire(self, owner: Owner, wait: float) -> None:
        """Raises AlreadyRunningError after `wait` seconds, and UnavailableError past the deadline."""
        self._mine = owner_to_json(owner).encode()
        claim = Claim(self._leases, self._mine, Watch(self._timeout))
        waiting, patience = Deadline(wait), Deadline(max(wait, self._deadline))
        while (number := patience.patiently(claim.attempt)) is None:
            if not waiting.left():
                raise AlreadyRunningError(self.holder(), "unknown", wait)
            time.sleep(min(self._timeout / POLLS, waiting.left()))
        ended = threading.Event()
        self._held = number, ended
        threading.Thread(target=self._renew, args=(number, ended), name="lease", daemon=True).start()

    def release(self) -> None:
        held, self._held = self._held, None
        if held:
            number, ended = held
            ended.set()
            try:
                self._check_mine(number)
                self._leases.delete(number)
            except FileNotFoundError:  # lost, and noticed only now
                pass
            except StreamError as e:
                log.warning("the lock in %s is free in %g s, not at once: %s", self._where, self._timeout, e)

    def holder(self) -> Owner | None:
        """Who has it; a dead one too, until another launch takes it."""
        return Deadline(self._deadline).patiently(self._named)

    def _named(self) -> Owner | None:
        found = self._leases.found()
        try:
            return owner_from_json(self._leases.read(found[max(found)])) if found else None
        except FileNotFoundError:  # released between the two looks
            return None

    def _check_mine(self, number: int) -> None:
        """FileNotFoundError if the lease is another launch's: once one was released, numbers begin anew."""
        found = self._leases.found(number).get(number)
        if found is None or self._leases.read(found) != self._mine:
            raise FileNotFoundError

    def _renew(self, number: int, ended: threading.Event) -> None:
        """Gives signs of life until the lock is released or lost.  An error is only one sign less."""
        while not ended.wait(self._timeout / RENEWALS):
            try:
                self._check_mine(number)
                self._leases.touch(number)
            except FileNotFoundError:
                if not ended.is_set():
                    log.warning("the lock in %s was taken by another launch: no sign of life in time", self._where)
                return
            except Exception as e:
                log.warning("no sign of life from the lock in %s, once more in a moment: %s", self._where, e)
