"""MemoryStore beyond the contract suite (tests/contract), which runs on it as well."""

from __future__ import annotations

import pytest

from offsets.errors import AlreadyRunningError, FencedError
from offsets.stores.base import MAX_STATE_BYTES, MemoryStore, Versioned
from offsets.structs import Owner

ME = Owner("my-host", 1, "2026-11-21T00:00:00Z", "me")


def test_counts_versions_from_zero() -> None:
    """The first version is 0, as in the durable stores."""
    store = MemoryStore()
    assert store.load() is None
    first = store.replace(None, b"a")
    assert first == Versioned(0, b"a")
    assert store.replace(first, b"b") == store.load() == Versioned(1, b"b")


@pytest.mark.parametrize("expected", [None, Versioned(0, b"a"), Versioned(1, b"other"), Versioned(1, b"b", 7)])
def test_whatever_differs_is_fenced(expected: Versioned | None) -> None:
    """An expectation that is off in version, bytes or incarnation changes nothing."""
    store = MemoryStore()
    now = store.replace(store.replace(None, b"a"), b"b")
    with pytest.raises(FencedError):
        store.replace(expected, b"c")
    assert store.load() == now


def test_refuses_what_is_too_long() -> None:
    """Over the limit: ValueError, and nothing is created."""
    store = MemoryStore()
    with pytest.raises(ValueError, match="over the limit"):
        store.replace(None, b"x" * (MAX_STATE_BYTES + 1))
    assert store.load() is None


def test_tells_how_long_a_launch_waited() -> None:
    """The message holds the time by the given clock."""
    times = iter([10.0, 15.0, 22.0])
    store = MemoryStore(clock=lambda: next(times))
    with store.lock(ME, 0), pytest.raises(AlreadyRunningError, match=r"pid 1 on my-host.*waited 7 s"):
        store.lock(ME, 0).__enter__()
