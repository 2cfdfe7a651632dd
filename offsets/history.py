"""What became of a register, as events: from the states that its store keeps, and from what a sink has logged.  Pure.

Where a store keeps no older states, the batch log knows most of it; what nobody has written down is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from offsets.events import (
    COMMIT,
    CREATE,
    KINDS,
    LOSS,
    PREPARE,
    REBUILD,
    RESET,
    TAKEOVER,
    Event,
    Move,
    Topics,
    moves,
    of_ranges,
)
from offsets.structs import GIVEN_UP, LossRecord, LostRange, Manifest, State

_OF_STEP = {"take": TAKEOVER, "skip": LOSS} | {kind: kind for kind in KINDS}


class Kept(NamedTuple):
    """A state that the store still has."""

    version: int
    state: State


def of_states(kept: Sequence[Kept]) -> list[Event]:
    """`kept`: the newest first, as the store gives them."""
    older = [*kept[1:], None] if kept else []
    return [
        of_state(new.state, old.state if old and old.version == new.version - 1 else None)
        for new, old in zip(kept, older, strict=True)
    ]


def of_state(state: State, before: State | None) -> Event:
    """What wrote `state`; `before`: the one that it replaced, if that is known."""
    kind = _OF_STEP[state.step]
    seq, moved = state.seq - (kind == COMMIT), _moves_of(kind, state, before)
    event = Event(kind, state.generation, seq, state.epoch, state.time_ms, state.owner, moved)
    if kind == RESET:
        was = _before(state, before)
        return replace(event, reason=state.reason, losses=state.losses, was=was, topics=state.topics)
    return replace(event, losses=state.losses) if kind == LOSS else event


def _before(state: State, before: State | None) -> Topics | None:
    return state.before if state.before is not None else before.topics if before else None


def _moves_of(kind: str, state: State, before: State | None) -> tuple[Move, ...] | None:
    if kind == TAKEOVER:
        return ()
    if kind in (CREATE, REBUILD):
        return moves({}, state.topics)
    if kind == PREPARE:
        return of_ranges(state.pending.ranges if state.pending else ())
    if kind == LOSS:
        return of_ranges(state.losses)
    was = _before(state, before)
    return None if was is None else moves(was, state.topics)


def of_log(manifests: Iterable[Manifest], losses: Iterable[LossRecord], register: State | None) -> list[Event]:
    """From a batch log's entries, those without ranges where a generation begins, and from the records of losses.

    `register`: as it is now, which alone says whether the newest entry is committed yet.
    """
    ordered = sorted(manifests, key=_place)
    end = (register.generation, register.seq) if register else _place(ordered[-1]) if ordered else (0, 0)
    lost = {record.generation: record.losses for record in losses}
    given_up = {m.seq for m in ordered if not m.ranges and _gives_up(lost.get(m.generation, ()))}
    events: list[Event] = []
    earlier: Manifest | None = None
    for manifest in ordered:
        if manifest.ranges and manifest.seq in given_up:
            events.append(_of_batch(manifest, PREPARE))
            continue
        if manifest.ranges:
            events.append(_of_batch(manifest, COMMIT if _place(manifest) < end else PREPARE))
        else:
            was = earlier.topics if earlier and _ends_before(earlier, manifest) else None
            events.append(_of_begin(manifest, was, lost.pop(manifest.generation, ())))
        earlier = manifest
    return events + [_of_loss(generation, found, events) for generation, found in lost.items()]


def _place(manifest: Manifest) -> tuple[int, int]:
    return (manifest.generation, manifest.seq)


def _ends_before(manifest: Manifest, trace: Manifest) -> bool:
    """Whether that is the last batch of the generation before: under a weaker guarantee it may not have been logged."""
    return _place(manifest) == (trace.generation - 1, trace.seq)


def _of_batch(manifest: Manifest, kind: str) -> Event:
    return Event(
        kind,
        manifest.generation,
        manifest.seq,
        manifest.epoch,
        manifest.time_ms,
        moves=of_ranges(manifest.ranges),
        records=manifest.records,
        files=len(manifest.files),
    )


def _of_begin(trace: Manifest, was: Topics | None, losses: tuple[LostRange, ...]) -> Event:
    is_reset = not losses or _gives_up(losses)
    moved = of_ranges(losses) if not is_reset else None if was is None else moves(was, trace.topics)
    event = Event(RESET if is_reset else LOSS, trace.generation, trace.seq + 1, trace.epoch, trace.time_ms, moves=moved)
    return replace(event, losses=losses, was=was, topics=trace.topics)


def _gives_up(losses: tuple[LostRange, ...]) -> bool:
    """Whether they are of a batch that a reset has given up."""
    return any(loss.kind == GIVEN_UP for loss in losses)


def _of_loss(generation: int, losses: tuple[LostRange, ...], events: Sequence[Event]) -> Event:
    """Where the log does not say where the generation begins, its first batch does."""
    seq = min((event.seq for event in events if event.generation == generation), default=0)
    return Event(LOSS, generation, seq, moves=of_ranges(losses), losses=losses)


def merged(kept: Iterable[Event], logged: Iterable[Event]) -> list[Event]:
    """Each write once, the oldest first.  States say best who and when, the log which ranges and how much."""
    found = {event.identity: event for event in logged}
    for event in kept:
        found[event.identity] = _joined(event, found.get(event.identity))
    owners = {event.epoch: event.owner for event in found.values() if event.owner}
    events = (event if event.owner else replace(event, owner=owners.get(event.epoch)) for event in found.values())
    return sorted(events, key=lambda event: event.place)


def _joined(kept: Event, logged: Event | None) -> Event:
    if logged is None:
        return kept
    moved = logged.moves if kept.kind == COMMIT or kept.moves is None else kept.moves
    return replace(kept, moves=moved, records=logged.records, files=logged.files, was=kept.was or logged.was)


def touching(events: Iterable[Event], wanted: Callable[[str, int], bool]) -> list[Event]:
    """Those that moved, or may have moved, a wanted partition, with just these moves."""
    found = []
    for event in events:
        here = event.moves and tuple(move for move in event.moves if wanted(move.topic, move.partition))
        if here or event.moves is None:
            found.append(replace(event, moves=here))
    return found
