"""OffsetStore: one versioned register and a lock.  It knows nothing of Kafka, batches or the protocol.

Safety rests on ``replace`` alone.  The lock is politeness: it keeps a second launch from disturbing the first, and a
driver that wrongly believes to hold it can do no harm.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from offsets.errors import AlreadyRunningError, FencedError
from offsets.structs import Owner

if TYPE_CHECKING:
    from sqlalchemy import Connection

Work = Callable[["Connection"], None]  # in a transaction, which it neither commits nor rolls back
RETAIN = 1000  # states, the newest among them: enough to see what happened, and far more than any reader lags behind
MAX_STATE_BYTES = 512 * 1024  # half of ZooKeeper's jute.maxbuffer: past that the server just drops the connection


@dataclass(frozen=True)
class Versioned:
    """A register's bytes and the version they were read or written at.

    ``incarnation`` tells a register from one that was deleted and created again under the same name.
    """

    version: int
    state: bytes
    incarnation: int = 0


class OffsetStore(Protocol):
    """What every store promises; one suite in tests/contract holds all of them to it."""

    url: str

    @property
    def dead_holder_seconds(self) -> float:
        """Within what time after SIGKILL of a holder the lock is free again (at most 15 s)."""

    def load(self) -> Versioned | None:
        """The newest register, or None if it was never created.

        Raises StateDamagedError if the store itself is in disorder, UnavailableError past the deadline.
        """

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        """Compare-and-set: writes `state` if the register still is `expected`; None creates it.  Atomic, durable.

        A reply that is lost is resolved inside (rule U): the same bytes are read back and compared, and sent again
        only while the register is unchanged.  Bytes are unique because they carry a nonce.  Raises FencedError when
        somebody else has written, UnavailableError when that cannot be told before the deadline, and ValueError for
        more than MAX_STATE_BYTES, before anything is sent.
        """

    def states(self, limit: int) -> list[Versioned]:
        """The registers that are still kept, newest first, at most `limit` of them; none if it was never created.

        The first is what `load` gives.  How far back they go is the store's affair: one that keeps no older ones gives
        just that.  Bytes are as they lie there, whoever damaged them; what is deleted meanwhile is left out.  Raises as
        `load` does.
        """

    def lock(self, owner: Owner, wait: float) -> AbstractContextManager[None]:
        """Holds the lock inside the block.  Raises AlreadyRunningError after `wait` seconds, naming the holder."""

    def holder(self) -> Owner | None:
        """Who holds the lock now, as far as can be seen."""

    def close(self) -> None:
        """Gives up connections; the lock, if held, is free at once."""


@runtime_checkable
class TransactionalStore(OffsetStore, Protocol):
    """A store in a database that can take other work into the transaction that writes the register."""

    def replace_within(self, expected: Versioned | None, state: bytes, work: Work) -> Versioned:
        """``replace`` and `work` in one transaction: both are there afterwards, or neither.

        The compare-and-set comes first and keeps its row locked until COMMIT, so `work` runs only for the driver that
        still owns the register, and nobody else writes meanwhile.  `work` gets the transaction's connection, must not
        commit or roll back, and may be called several times: each call but the last was rolled back.  A reply to
        COMMIT that is lost is resolved inside, as in ``replace``.  Raises what ``replace`` does, and whatever `work`
        raises, after the transaction was rolled back.
        """


def check_size(state: bytes) -> None:
    """Refuses on the client what a server would answer by dropping the connection."""
    if len(state) > MAX_STATE_BYTES:
        raise ValueError(f"the register would have {len(state)} bytes, over the limit of {MAX_STATE_BYTES}")


class MemoryStore:
    """The reference twin: the whole contract in one process, for tests and for reading."""

    url = "memory:"
    dead_holder_seconds = 0.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._guard, self._lock = threading.Lock(), threading.Lock()
        self._now: Versioned | None = None
        self._older: deque[Versioned] = deque(maxlen=RETAIN - 1)  # newest first
        self._holder: Owner | None = None
        self._clock = clock

    def load(self) -> Versioned | None:
        return self._now

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        check_size(state)
        with self._guard:
            if self._now != expected:
                raise FencedError(f"the register in {self.url} was written by another driver")
            if expected:
                self._older.appendleft(expected)
            self._now = Versioned(expected.version + 1 if expected else 0, bytes(state))
            return self._now

    def states(self, limit: int) -> list[Versioned]:
        with self._guard:
            return [] if self._now is None else [self._now, *self._older][:limit]

    @contextmanager
    def lock(self, owner: Owner, wait: float) -> Iterator[None]:
        began = self._clock()
        if not self._lock.acquire(timeout=max(wait, 0)):
            raise AlreadyRunningError(self._holder, "unknown", self._clock() - began)
        self._holder = owner
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()

    def holder(self) -> Owner | None:
        return self._holder

    def close(self) -> None:
        pass
