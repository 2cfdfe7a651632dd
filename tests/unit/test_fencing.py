"""A fenced driver says that it was fenced, whatever it stumbled over first."""

from __future__ import annotations

import pytest

from offsets.errors import FencedError, RegisterError, UnavailableError
from offsets.manager import OffsetManager, current_owner
from offsets.stores.base import MemoryStore, Versioned
from offsets.structs import TopicState
from streaming.run.fencing import fencing_told


class Store(MemoryStore):
    """Down when told so."""

    down = False

    def load(self) -> Versioned | None:
        if self.down:
            raise UnavailableError("no answer")
        return super().load()


def driver(store: Store) -> OffsetManager:
    """One that has taken the register."""
    manager = OffsetManager(store, current_owner("run"))
    if manager.read() is None:
        manager.create("app", {"t": TopicState("id", {0: 0})})
    manager.take()
    return manager


def test_a_stumble_of_a_fenced_driver() -> None:
    """What it found is the other one's doing: exit 75, and the finding is only quoted."""
    store = Store()
    manager = driver(store)
    driver(store)
    with pytest.raises(FencedError, match=r"another driver has taken over.*the log is ahead"), fencing_told(manager):
        raise RegisterError("the log is ahead")


def test_a_stumble_of_the_owner() -> None:
    """Nobody else has written: the error stays what it is."""
    manager = driver(Store())
    with pytest.raises(RegisterError, match=r"^the log is ahead$"), fencing_told(manager):
        raise RegisterError("the log is ahead")


def test_a_register_that_cannot_be_asked() -> None:
    """The first error is told, not that of the question."""
    store = Store()
    manager = driver(store)
    store.down = True
    with pytest.raises(RegisterError, match=r"^the log is ahead$"), fencing_told(manager):
        raise RegisterError("the log is ahead")


def test_before_the_register_was_taken() -> None:
    """A launch that had looked before another one wrote has judged by what is over."""
    store = Store()
    manager = OffsetManager(store, current_owner("late"))
    assert manager.read() is None
    driver(store)
    with pytest.raises(FencedError, match=r"taken over.*a marker without register"), fencing_told(manager):
        raise RegisterError("a marker without register")


def test_before_the_register_was_read() -> None:
    """A launch that has not looked yet cannot have been overtaken."""
    store = Store()
    driver(store)
    with pytest.raises(RegisterError, match=r"^no rights$"), fencing_told(OffsetManager(store, current_owner("late"))):
        raise RegisterError("no rights")
