"""What a reset would do, without a lock and without a write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from offsets.errors import StreamError
from offsets.launching import first_launch
from offsets.manager import OffsetManager, current_owner
from offsets.protocol import once_committed, without_pending
from offsets.reset import Reset
from offsets.stores import open_store
from offsets.structs import Owner, State
from streaming.config.places import Places
from streaming.resetting.discarding import give_up
from streaming.resetting.refusals import check_pending, check_register, job_of
from streaming.resetting.values import Choose, GivenUp
from streaming.sinks.file import open_sink

ANSWER_SECONDS = 10.0


def look(places: Places) -> tuple[State, Owner | None]:
    """The register, and who holds the lock.  Raises RegisterError where there is none."""
    with closing(open_store(places.store, places.session_seconds, ANSWER_SECONDS)) as store:
        state = OffsetManager(store, current_owner(""), job=job_of(places)).read()
        return check_register(places, state), store.holder()


def preview(places: Places, choose: Choose) -> tuple[State, Reset, tuple[str, ...]]:
    """The register as the reset would find it, where that would lead, and what else to know of it."""
    found, holder = look(places)
    settled = once_committed(found)
    return settled, choose(settled), (*_obstacles(places, found), *_held(holder))


def preview_discarding(places: Places, choose: Choose) -> tuple[State, Reset, GivenUp, tuple[str, ...]]:
    """The same of a reset that gives up the pending batch, and what that is.  RegisterError if it is refused."""
    found, holder = look(places)
    sink = open_sink(places.sink) if places.sink else None
    given_up = give_up(places, found, sink, lambda: look(places)[0] != found)
    settled = without_pending(found)
    return settled, choose(settled), given_up, tuple(_held(holder))


def _obstacles(places: Places, state: State) -> Iterator[str]:
    """What --execute would refuse, or do before the reset, as far as can be told without a write."""
    sink = open_sink(places.sink) if places.sink else None
    try:
        if sink:
            first_launch(state, sink.marker(), job_of(places), places.store, sink.url)
        check_pending(places, state, sink)
    except StreamError as e:
        yield f"--execute would be refused: {e}; remedy: {e.remedy}"
    else:
        if state.pending:
            yield f"batch {state.seq} is pending: --execute finishes it first, and this begins behind it"


def _held(holder: Owner | None) -> Iterator[str]:
    if holder:
        yield f"{holder} holds the job: while it lives --execute leaves with 75; --force fences it"
