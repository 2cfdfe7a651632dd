"""The looks at store and sink from which a history is made.  Takes no lock, writes nothing, reads what it shows.

The store must answer; what the sink does not say is left out and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from offsets.codec import decode_state
from offsets.errors import StateDamagedError, StreamError
from offsets.events import Event
from offsets.filesystems import open_filesystem
from offsets.history import Kept, merged, of_states
from offsets.stores.base import OffsetStore, Versioned
from offsets.structs import State
from streaming.config.places import Places
from streaming.history.logged import SinkLog

ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class History:
    """`events`: the oldest first; without a gap only the newest that were asked for.

    `damage`: why the newest state is not legible, empty if it is or there is none.
    `notes`: what is not shown, and why; `unseen`: what did not answer.
    """

    events: tuple[Event, ...]
    register: State | None
    damage: str = ""
    notes: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def gather(places: Places, store: OffsetStore, limit: int) -> History:
    """The newest `limit` events at least.  Raises what the store has to say if it does not answer."""
    notes, unseen, logged = list[str](), list[str](), list[Event]()
    found = store.states(limit + 1)  # one more: it says what the last one shown has changed
    kept = list(_legible(found, store.url, notes))
    register = kept[0].state if kept and kept[0].version == found[0].version else None
    damage = notes[0] if found and register is None else ""
    begin = kept[-1].state.seq - 1 if len(kept) > limit else 0
    if places.sink is None:
        notes.append("no --sink was given: only what the store keeps is known")
    else:
        try:
            logged = SinkLog(open_filesystem(places.sink), register, begin, limit, notes).events()
        except StreamError as e:
            unseen.append(str(e))
    events = merged(of_states(kept), logged)
    return History(tuple(events), register, damage, tuple(notes), tuple(unseen))


def _legible(found: Sequence[Versioned], url: str, notes: list[str]) -> Iterator[Kept]:
    for each in found:
        try:
            yield Kept(each.version, decode_state(each.state, f"state {each.version} of the register in {url}"))
        except StateDamagedError as e:
            notes.append(str(e))
