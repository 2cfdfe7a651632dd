"""The looks at store and sink from which a history is made.  Takes no lock, writes nothing, reads what it shows.

The store must answer; what the sink does not say is left out and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from offsets.codec import decode_state
from offsets.errors import StateDamagedError, StreamError
from offsets.filesystems import Filesystem, open_filesystem
from offsets.history import TAKEOVER, Event, Kept, merged, of_log, of_states
from offsets.stores.base import OffsetStore, Versioned
from offsets.structs import Manifest, Owner, State
from streaming.commands.places import Places
from streaming.sinks.batch_log import logged_numbers, newest_batch
from streaming.sinks.losses import loss_generations, read_losses
from streaming.sinks.names import BATCHES
from streaming.sinks.notes import numbered
from streaming.sinks.runs import reports
from streaming.verification.reading import entries, reset_trace, resets

T = TypeVar("T")
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
    notes, unseen = list[str](), list[str]()
    found = store.states(limit + 1)  # one more: it says what the last one shown has changed
    kept = list(_legible(found, store.url, notes))
    register = kept[0].state if kept and kept[0].version == found[0].version else None
    damage = notes[0] if found and register is None else ""
    logged: list[Event] = []
    if places.sink is None:
        notes.append("no --sink was given: only what the store keeps is known")
    else:
        logged = _attempt(lambda sink: _logged(sink, register, limit, notes), places.sink, unseen) or []
    events = merged(of_states(kept), logged)
    return History(tuple(events), register, damage, tuple(notes), tuple(unseen))


def _legible(found: Sequence[Versioned], url: str, notes: list[str]) -> Iterator[Kept]:
    for each in found:
        try:
            yield Kept(each.version, decode_state(each.state, f"state {each.version} of the register in {url}"))
        except StateDamagedError as e:
            notes.append(str(e))


def _attempt(look: Callable[[Filesystem], T], url: str, unseen: list[str]) -> T | None:
    try:
        return look(open_filesystem(url))
    except StreamError as e:
        unseen.append(str(e))
        return None


def _logged(sink: Filesystem, register: State | None, limit: int, notes: list[str]) -> list[Event]:
    """What the sink knows of the newest `limit` events; of another application's register: nothing, and said."""
    losses = [_read(lambda g=g: read_losses(sink, g), notes) for g in loss_generations(sink)[-limit:]]  # type: ignore[misc]
    begins = list(_begins(sink, limit, notes))
    found = [*begins, *_batches(sink, register, limit, begins, notes)]
    app = register.app if register else found[0].app if found else None
    manifests = [each for each in found if each.app == app]
    if len(manifests) < len(found):
        notes.append(f"{sink.url}: {len(found) - len(manifests)} entries of the batch log are another application's")
    records = [record for record in losses if record and record.app == app]
    return [*of_log(manifests, records, register), *_takeovers(islice(reports(sink), limit))]


def _batches(
    sink: Filesystem, register: State | None, limit: int, begins: Sequence[Manifest], notes: list[str]
) -> Iterator[Manifest]:
    """The newest entries, and the last one before each generation that begins by a reset: it says where that was.

    Batches are numbered without a gap, over generations too, so older names are not listed.
    """
    newest = _read(lambda: newest_batch(sink), notes) if register is None else None
    end = register.seq if register else newest.manifest.seq + 1 if newest else 0
    generations = [int(name) for name in numbered(sink, BATCHES)][-limit:]
    begin = max(end - limit, 0)
    listed = {(generation, seq) for generation in generations for seq in logged_numbers(sink, generation, begin)}
    last = {(begun.generation - 1, begun.seq) for begun in begins}
    for entry in entries(sink, sorted(listed | last)):
        if entry and entry.manifest:
            yield entry.manifest
        elif entry:
            notes.append(entry.damage)


def _begins(sink: Filesystem, limit: int, notes: list[str]) -> Iterator[Manifest]:
    for generation in resets(sink)[-limit:]:
        if trace := _read(lambda g=generation: reset_trace(sink, g), notes):  # type: ignore[misc]
            yield trace


def _read(read: Callable[[], T], notes: list[str]) -> T | None:
    """None for a file that is damaged, which is noted, or was deleted just now."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except StateDamagedError as e:
        notes.append(str(e))
        return None


def _takeovers(found: Iterator[Mapping[str, Any]]) -> Iterator[Event]:
    """Of runs whose report says so; a run that was killed has left none."""
    for report in found:
        took = report.get("takeover")
        try:
            if isinstance(took, dict):
                yield _takeover(took, str(report["runId"]))
        except (KeyError, TypeError, ValueError):  # not one of ours
            continue


def _takeover(took: Mapping[str, Any], run_id: str) -> Event:
    at = round(datetime.fromisoformat(took["timestamp"]).timestamp() * 1000)
    owner = Owner(str(took["host"]), int(took["pid"]), str(took["since"]), run_id)
    return Event(TAKEOVER, int(took["generation"]), int(took["nextBatch"]), int(took["epoch"]), at, owner)
