"""The commit protocol as a table and as pure functions State -> State.

Decides what a driver may do next with any register, and what the register is afterwards.  Everything that writes a
register goes through here; an illegal step raises ProtocolError, and nothing has changed.  Knows no store, sink, Spark
or clock.  The order of a batch's steps is `offsets.profiles`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from offsets.errors import ProtocolError
from offsets.joining import check_cursor, check_losses, check_ranges, pinned_with
from offsets.structs import (
    GIVEN_UP,
    LostRange,
    Manifest,
    ManifestRef,
    OffsetRange,
    Owner,
    Pending,
    State,
    TopicPartition,
    TopicState,
)

Phase = Literal["absent", "created", "idle", "pending"]
ALLOWED: Mapping[Phase, frozenset[str]] = {
    "absent": frozenset({"create", "rebuild"}),
    "created": frozenset({"take"}),
    "idle": frozenset({"take", "prepare", "advance", "reset", "skip"}),
    "pending": frozenset({"take", "commit", "discard"}),
}
"""Which transitions each phase of a register allows.  `advance` is a COMMIT without PREPARE, `discard` a reset
that gives the pending batch up: each in one write."""

# A rebuilt epoch must be above all that the lost register had reached, or a sleeping collector (rule G) would take the
# new staging for older than its own.  One launch a minute without a batch needs two years for as many.
EPOCH_LEAP = 1_000_000


def phase(state: State | None) -> Phase:
    if state is None:
        return "absent"
    if state.pending is not None:
        return "pending"
    return "idle" if state.epoch else "created"


def created(app: str, topics: Mapping[str, TopicState], owner: Owner, nonce: str, now: int) -> State:
    """The first register of an application: nobody has taken it, the sink's marker may still be missing."""
    return State(app, 0, 0, owner, nonce, 0, dict(topics), step="create", time_ms=now)


def taken(state: State, owner: Owner, nonce: str, now: int) -> State:
    """Epoch + 1: every older driver is fenced.  A pending batch stays, for the new owner to finish."""
    _check(state, "take", nonce)
    return replace(state, epoch=state.epoch + 1, owner=owner, nonce=nonce, step="take", time_ms=now)


def prepared(
    state: State,
    topics: Mapping[str, TopicState],
    ranges: tuple[OffsetRange, ...],
    manifest: ManifestRef | None,
    nonce: str,
    now: int,
    schemas: Mapping[str, str] = {},
) -> State:
    """The batch is decided.  `topics`: the plan's cursor, which is the register's with new partitions added.

    `schemas`: those of tables that the batch is the first to write; others may be repeated as they are.
    """
    _check(state, "prepare", nonce)
    check_cursor(state.topics, topics)
    check_ranges(topics, ranges)
    pinned = pinned_with(state.schemas, schemas)
    new = replace(state, topics=dict(topics), schemas=pinned, pending=Pending(tuple(ranges), manifest))
    return replace(new, losses=(), before=None, nonce=nonce, step="prepare", time_ms=now)


def committed(state: State, nonce: str, now: int) -> State:
    """The pending batch is published and over: offsets = until."""
    _check(state, "commit", nonce)
    return replace(once_committed(state), nonce=nonce, step="commit", time_ms=now, committed_ms=now)


def once_committed(state: State) -> State:
    """Where the register will be when a pending batch is committed; as it is if there is none."""
    if state.pending is None:
        return state
    return replace(state, topics=advance(state.topics, state.pending.ranges), pending=None, seq=state.seq + 1)


def advanced(
    state: State,
    topics: Mapping[str, TopicState],
    ranges: tuple[OffsetRange, ...],
    nonce: str,
    now: int,
    schemas: Mapping[str, str] = {},
) -> State:
    """COMMIT of a batch that was never pending: offsets = until.  Arguments and checks are those of `prepared`."""
    _check(state, "advance", nonce)
    check_cursor(state.topics, topics)
    check_ranges(topics, ranges)
    pinned = pinned_with(state.schemas, schemas)
    done = replace(state, topics=advance(topics, ranges), schemas=pinned, seq=state.seq + 1, losses=(), before=None)
    return replace(done, nonce=nonce, step="commit", time_ms=now, committed_ms=now)


def reset(state: State, topics: Mapping[str, TopicState], reason: str, nonce: str, now: int) -> State:
    """A new generation that begins at `topics`.  `reason` says who, when and why; it is kept until the next reset.

    What it has found stays as `before` until the first batch.  A reset to that is the undo, and is undone by another.
    """
    _check(state, "reset", nonce)
    if not reason:
        raise ProtocolError("a reset must say who, when and why")
    new = replace(state, generation=state.generation + 1, topics=dict(topics), reason=reason, before=state.topics)
    return replace(new, losses=(), nonce=nonce, step="reset", time_ms=now)


def discarded(state: State, topics: Mapping[str, TopicState], reason: str, nonce: str, now: int) -> State:
    """A reset that gives up the pending batch, which nobody can finish.  Arguments as of `reset`.

    The batch's ranges are the new register's losses, of kind GIVEN_UP; `before` is where it stood before that batch.
    """
    _check(state, "discard", nonce)
    lost = tuple(LostRange(GIVEN_UP, *r) for r in sorted(state.pending.ranges if state.pending else ()))
    return replace(reset(without_pending(state), topics, reason, nonce, now), losses=lost)


def without_pending(state: State) -> State:
    """Where the register will be when a pending batch is given up; as it is if there is none.

    The batch's number is used up: its entry may be in the batch log, and its sink may know it.
    """
    return state if state.pending is None else replace(state, pending=None, seq=state.seq + 1)


def skipped(
    state: State, topics: Mapping[str, TopicState], losses: tuple[LostRange, ...], nonce: str, now: int
) -> State:
    """A new generation that begins at `topics`, behind `losses`: no other partition moves, all are sorted.

    The losses stay until the first batch, so that whoever comes next can write them down in the sink.
    """
    _check(state, "skip", nonce)
    check_losses(state.topics, topics, losses)
    new = replace(state, generation=state.generation + 1, topics=dict(topics), losses=tuple(losses))
    return replace(new, before=None, nonce=nonce, step="skip", time_ms=now)


def rebuilt(manifest: Manifest, ref: ManifestRef | None, owner: Owner, nonce: str, now: int) -> State:
    """A lost register, from the newest entry of the batch log.

    With `ref`, the batch's staging is still there: it is pending again, and the next driver finishes it.  With None
    all of its files must be known to be published: it counts as committed.
    """
    pending = None if ref is None else Pending(manifest.ranges, ref)
    starts = {r.topic_partition: r.from_offset for r in manifest.ranges} if pending else {}
    return State(
        app=manifest.app,
        generation=manifest.generation,
        epoch=manifest.epoch + EPOCH_LEAP,
        owner=owner,
        nonce=nonce,
        seq=manifest.seq if pending else manifest.seq + 1,
        topics=_moved(manifest.topics, starts),
        pending=pending,
        step="rebuild",
        time_ms=now,
        committed_ms=0 if pending else manifest.time_ms,
        schemas=dict(manifest.schemas),
    )


def advance(topics: Mapping[str, TopicState], ranges: Iterable[OffsetRange]) -> dict[str, TopicState]:
    """The same topics once `ranges` are committed: what a manifest carries as `topics`."""
    return _moved(topics, {r.topic_partition: r.until_offset for r in ranges})


def _check(state: State, step: str, nonce: str) -> None:
    found = phase(state)
    if step not in ALLOWED[found]:
        what = f"; pending: {', '.join(map(str, state.pending.ranges))}" if state.pending else ""
        raise ProtocolError(f"{step} is not allowed while the register is {found} (epoch {state.epoch}{what:.500})")
    if nonce == state.nonce:
        raise ProtocolError(f"{step} needs a nonce of its own: {nonce} was that of {state.step}")


def _moved(topics: Mapping[str, TopicState], places: Mapping[TopicPartition, int]) -> dict[str, TopicState]:
    """The same topics with each partition in `places` at that offset."""
    return {
        name: replace(
            topic, offsets={p: places.get(TopicPartition(name, p), offset) for p, offset in topic.offsets.items()}
        )
        for name, topic in topics.items()
    }
