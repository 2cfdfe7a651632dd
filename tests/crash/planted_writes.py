"""Planted bugs of those who write the register; see `tests.crash.planted`."""

from __future__ import annotations

from collections.abc import Callable

from offsets.codec import decode_state
from offsets.deadline import Deadline
from offsets.failpoints import reach
from offsets.stores import zookeeper_store
from offsets.stores.base import Versioned
from offsets.stores.log_store import LogStore
from offsets.stores.verdicts import fenced
from offsets.stores.zookeeper_session import Unknown
from offsets.stores.zookeeper_store import ZookeeperStore

Write = Callable[[ZookeeperStore, Versioned, bytes, Deadline], Versioned]


def writing(write: Write) -> None:
    """How the ZooKeeper store replaces a register that there is."""
    create = ZookeeperStore._write

    def either(self: ZookeeperStore, expected: Versioned | None, state: bytes, until: Deadline) -> Versioned:
        return create(self, expected, state, until) if expected is None else write(self, expected, state, until)

    ZookeeperStore._write = either  # type: ignore[method-assign]


def set_anyway(self: ZookeeperStore, expected: Versioned, state: bytes, until: Deadline) -> Versioned:
    reach("replace.before")
    stat = self._session.read(until, lambda zk: zk.set_async(self._register, state, -1))
    return Versioned(stat.version, state, stat.czxid)


def set_without_version() -> None:
    """The register is set to what this driver wants, whatever it is by now."""
    writing(set_anyway)


def check_epoch_then_set() -> None:
    """The epoch is looked at, and then the register is set without a version."""

    def write(self: ZookeeperStore, expected: Versioned, state: bytes, until: Deadline) -> Versioned:
        now = self._read(until)
        if now is None or decode_state(now.state).epoch > decode_state(state).epoch:
            raise fenced(self.url, expected)
        return set_anyway(self, expected, state, until)

    writing(write)


def retry_blindly() -> None:
    """A lost reply is answered by the same write once more, at the version that there is now."""

    def write(self: ZookeeperStore, expected: Versioned, state: bytes, until: Deadline) -> Versioned:
        while True:
            reach("replace.before")
            try:
                return self._send(expected, state, until)
            except Unknown:
                now = self._read(until)
                assert now is not None
                expected = now

    writing(write)


def assume_done() -> None:
    """No reply is taken for success."""
    real = ZookeeperStore._send

    def send(self: ZookeeperStore, expected: Versioned | None, state: bytes, until: Deadline) -> Versioned:
        try:
            return real(self, expected, state, until)
        except Unknown:
            assert expected is not None
            return Versioned(expected.version + 1, state, expected.incarnation)

    ZookeeperStore._send = send  # type: ignore[method-assign]


def compare_versions() -> None:
    """A lost reply is read back, and a version that has grown is taken for one's own write."""
    real = zookeeper_store.outcome

    def outcome(url: str, expected: Versioned | None, state: bytes, seen: Versioned | None) -> Versioned | None:
        grown = expected is not None and seen is not None and seen.version > expected.version
        return seen if grown else real(url, expected, state, seen)

    zookeeper_store.outcome = outcome


def no_second_look() -> None:
    """A numbered log: who could give a file the next number believes that it is the newest."""

    def write(self: LogStore, expected: Versioned | None, state: bytes, until: Deadline) -> Versioned:
        number = expected.version + 1 if expected else 0
        try:
            self._states.take(number, state)
        except FileExistsError:
            raise fenced(self.url, expected) from None
        return Versioned(number, state)

    LogStore._write = write  # type: ignore[method-assign]
