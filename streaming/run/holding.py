"""The store's lock around a run, and what a launch is told that waits for it in vain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from offsets.errors import AlreadyRunningError, StreamError
from offsets.failpoints import passing
from offsets.manager import OffsetManager, current_owner
from offsets.stores.base import OffsetStore
from offsets.structs import Owner
from streaming.moments import iso


@contextmanager
def held(store: OffsetStore, owner: Owner) -> Iterator[None]:
    """Holds the store's lock.  Waits as long as a dead holder keeps it; then says who holds it and its last commit."""
    with ExitStack() as stack:
        try:
            with passing("lock"):
                stack.enter_context(store.lock(owner, store.dead_holder_seconds))
        except AlreadyRunningError as e:
            raise AlreadyRunningError(e.holder, last_commit(store), e.waited) from None
        yield


def last_commit(store: OffsetStore) -> str:
    """When the register was last committed, for people; "never" or "unknown"."""
    try:
        state = OffsetManager(store, current_owner("")).read()
    except StreamError:
        return "unknown"
    return (iso(state.committed_ms) if state else None) or "never"
