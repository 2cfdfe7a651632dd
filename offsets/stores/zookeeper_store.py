"""The register in one znode, replaced by versioned sets; the lock is kazoo's recipe beside it.

A set without an answer has usually been carried out.  It is never simply sent again: the znode is read back, and its
bytes, which carry a nonce, say whose write it was (rule U).  A znode that was deleted and created again counts its
versions from 0 anew, so each write is also held against the znode's creation id.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
)

from offsets.deadline import PAUSE_SECONDS, Deadline
from offsets.errors import (
    AlreadyRunningError,
    ConfigError,
    StateDamagedError,
    StoreError,
    UnavailableError,
)
from offsets.failpoints import reach
from offsets.stores.base import Versioned, check_size
from offsets.stores.verdicts import fenced, other_register
from offsets.stores.zookeeper_lock import acquire, first_contender
from offsets.stores.zookeeper_session import Session, Unknown
from offsets.structs import Owner

EXPIRY_SLACK = 3.0  # a server expires sessions in steps of its tick (2 s by default), counted from the last heartbeat
SHORTEST_SESSION = 4.0  # what a server with default settings makes of anything below
LONGEST_SESSION = 12.0  # so that a dead holder is noticed within 15 s


class ZookeeperStore:
    """``zookeeper://host:port,host:port/path``: znodes ``path/register`` and ``path/lock``, made when first written.

    ``session_timeout``: seconds without a heartbeat after which the server frees a dead holder's lock.
    ``deadline``: seconds that a call waits for a server before it raises UnavailableError.
    """

    def __init__(
        self, url: str, session_timeout: float = 10.0, deadline: float = 15.0, session_type: type[Session] = Session
    ) -> None:
        if not 0 < session_timeout <= LONGEST_SESSION:
            raise ConfigError([f"a ZooKeeper session of {session_timeout:g} s: at most {LONGEST_SESSION:g} s"])
        self._hosts, _, path = url.removeprefix("zookeeper://").partition("/")
        self.url, self._deadline, self._session_timeout = url, deadline, session_timeout
        self._folder = "/" + path.strip("/")
        self._register, self._lock_path = f"{self._folder}/register", f"{self._folder}/lock"
        self._session_type = session_type
        self._session = self._new_session()
        self._locking: set[Session] = set()
        self.dead_holder_seconds = max(session_timeout, SHORTEST_SESSION) + EXPIRY_SLACK

    def load(self) -> Versioned | None:
        with self._explained():
            found = self._read(Deadline(self._deadline))
        if found is not None and not found.state:
            raise StateDamagedError(
                f"the znode {self._register} of {self.url} is empty: something else made it",
                "see what lies there; another path in [offsets] store is a fresh start, this is never overwritten",
            )
        return found

    def states(self, limit: int) -> list[Versioned]:
        return [found] if limit and (found := self.load()) else []  # a znode keeps nothing but its value

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        check_size(state)
        try:
            with self._explained():
                written = self._write(expected, bytes(state), Deadline(self._deadline))
        except UnavailableError:
            self._session.discard()  # what is still queued must not be sent after this answer
            raise
        reach("replace.after")
        return written

    @contextmanager
    def lock(self, owner: Owner, wait: float) -> Iterator[None]:
        session = self._new_session()  # of its own: the end of it frees the lock, and takes back a contender in doubt
        self._locking.add(session)
        try:
            with self._explained():
                began = time.monotonic()
                if not acquire(session, self._lock_path, owner, wait, self._deadline):
                    raise AlreadyRunningError(self.holder(), "unknown", time.monotonic() - began)
            yield
        finally:
            session.close()
            self._locking.discard(session)

    def holder(self) -> Owner | None:
        with self._explained():
            return first_contender(self._session, self._lock_path, Deadline(self._deadline))

    def close(self) -> None:
        for session in (self._session, *self._locking):
            session.close()

    def _write(self, expected: Versioned | None, state: bytes, until: Deadline) -> Versioned:
        """Sends until an answer is certain.  `unknown`: an earlier send may have landed, or may still."""
        unknown = False
        while True:
            if expected is None:
                self._session.read(until, lambda zk: zk.ensure_path_async(self._folder))
            reach("replace.before")
            try:
                written = self._send(expected, state, until)
                reach("replace.sent")
                return checked(self.url, expected, written)
            except (BadVersionError, NodeExistsError):
                if not unknown:
                    raise fenced(self.url, expected) from None
            except (AuthFailedError, NoAuthError):
                raise
            except (Unknown, KazooException):
                unknown = True
            if found := outcome(self.url, expected, state, self._read(until)):
                return found
            time.sleep(PAUSE_SECONDS)

    def _send(self, expected: Versioned | None, state: bytes, until: Deadline) -> Versioned:
        if expected is not None:
            version = expected.version
            stat = self._session.once(until, lambda zk: zk.set_async(self._register, state, version))
            return Versioned(stat.version, state, stat.czxid)
        _, stat = self._session.once(until, lambda zk: zk.create_async(self._register, state, include_data=True))
        return Versioned(stat.version, state, stat.czxid)

    def _read(self, until: Deadline) -> Versioned | None:
        """As of now, not as a lagging server remembers it."""
        try:
            state, stat = self._session.read(until, self._sync_and_get)
        except NoNodeError:
            return None
        return Versioned(stat.version, state, stat.czxid)

    def _sync_and_get(self, zk: KazooClient) -> Any:
        zk.sync_async(self._register)  # one connection keeps the order; if it breaks, both are asked again
        return zk.get_async(self._register)

    def _new_session(self) -> Session:
        return self._session_type(self._hosts, self._session_timeout, self._deadline / (self._hosts.count(",") + 2))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what kazoo says into an error that names the path and the remedy."""
        try:
            yield
        except (AuthFailedError, NoAuthError) as e:
            raise StoreError(
                f"ZooKeeper at {self._hosts} refuses access to {self._folder} ({type(e).__name__})",
                f"give this user read, write, create and delete on {self._folder} and all below it (its ACL)",
            ) from e
        except KazooException as e:
            raise UnavailableError(
                f"ZooKeeper at {self._hosts} did not carry out a request for {self._folder} ({type(e).__name__})",
                "see that it runs and has a quorum, then launch again",
            ) from e


def outcome(url: str, expected: Versioned | None, state: bytes, seen: Versioned | None) -> Versioned | None:
    """What became of a write without an answer: `seen` if it is there, None if nothing was changed (send it again)."""
    if seen is None:
        if expected is None:
            return None
        raise other_register(url, "it was deleted")
    seen = checked(url, expected, seen)
    if expected is not None and seen.version == expected.version:
        return None
    if seen.state == state and seen.version == (expected.version + 1 if expected else 0):
        return seen
    raise fenced(url, expected)


def checked(url: str, expected: Versioned | None, seen: Versioned) -> Versioned:
    """`seen`, if it is the znode that `expected` was read from."""
    if expected is not None and seen.incarnation != expected.incarnation:
        raise other_register(url, "it was deleted and created again")
    return seen
