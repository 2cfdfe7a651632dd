"""The undo of a register's last reset: another reset, to the very offsets that it was at.  Driver.

Only while nothing was committed behind it; then it says which plain reset would do what is still to be done.
"""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from offsets.errors import StreamError
from offsets.events import RESET, Event, Topics
from offsets.losses import find_losses
from offsets.reset import Reset
from offsets.starting import Numbers
from offsets.stores import open_store
from offsets.structs import State
from offsets.undo import ByHand, by_hand, restoring
from streaming.config.places import Places
from streaming.history.gathering import ANSWER_SECONDS, gather
from streaming.resetting.executing import execute
from streaming.resetting.files import piped
from streaming.resetting.output import Report
from streaming.resetting.preview import look, preview
from streaming.source.broker import Broker
from streaming.source.planner import compared

SHOWN = 3  # losses
NO_UNDO = "nothing was written; see offset_history.py {told} --limit 1000 for what became of the offsets"


@dataclass(frozen=True)
class Undo:
    """What was asked.  `limit`: of how many states the last reset is looked for, if it cannot be undone."""

    limit: int
    execute: bool = False
    force: bool = False
    reason: str = ""


class CommittedSinceError(StreamError):
    """The reset can be undone no more.  `instead` shows what a plain reset would do, if that can be told."""

    def __init__(self, message: str, remedy: str, instead: Report | None = None) -> None:
        super().__init__(message, remedy)
        self.instead = instead


def undo(where: Places, asked: Undo, command: str) -> Report:
    """Plans it, or does it; `command` would do it.  Raises CommittedSinceError, and what `execute` raises."""
    state, _ = look(where)
    if state.before is None:
        raise _refusal(where, state, asked.limit)
    gone = losses_told(where, state.before)
    if asked.execute:
        of_it = partial(choose, generation=state.generation)
        done = execute(where, of_it, asked.reason or f"undo of generation {state.generation}", asked.force)
        return Report(where.name, where.store, done.before, done.chosen.moves, done=done, notes=gone)
    now, chosen, notes = preview(where, choose)
    return Report(where.name, where.store, now, chosen.moves, command, notes=(*notes, *gone))


def choose(state: State, generation: int | None = None) -> Reset:
    """Where the register was before its last reset, by which `generation` began.  Raises CommittedSinceError."""
    if state.before is None or generation not in (None, state.generation):
        raise CommittedSinceError(
            f"generation {state.generation} has begun, or gone on, meanwhile",
            "the offsets were not moved; ask once more, it says what would do now",
        )
    return Reset(state.before, restoring(state.topics, state.before))


def losses_told(where: Places, topics: Topics) -> tuple[str, ...]:
    """For people: what of it Kafka no longer has.  An undo restores it all the same; it is the launch that stops."""
    if not where.kafka:
        return ()
    try:
        with closing(Broker(where.kafka, ANSWER_SECONDS)) as broker:
            found = find_losses(topics, compared(broker, topics, broker.snapshot(sorted(topics))))
    except StreamError as e:
        return (f"whether Kafka still has what is restored is not known: {e}",)
    more = (f"and {len(found) - SHOWN:,} more losses",) if len(found) > SHOWN else ()
    return (*(f"Kafka has it no more, the next launch will stop there: {loss}" for loss in found[:SHOWN]), *more)


def _refusal(where: Places, state: State, limit: int) -> CommittedSinceError:
    """Says what a plain reset would do in place of the undo."""
    with closing(open_store(where.store, where.session_seconds, ANSWER_SECONDS)) as store:
        events = gather(where, store, limit).events
    last = next((event for event in reversed(events) if event.kind == RESET), None)
    if last is None:
        told = f"no reset is known that could be undone (generation {state.generation}, epoch {state.epoch})"
        return CommittedSinceError(told, NO_UNDO.format(told=where.told))
    told = f"generation {last.generation} has gone on since its reset{_because(last)}, which cannot be undone any more"
    instead = by_hand(state.topics, last)
    if instead is None or not instead.offsets:
        nowhere = f"{told}; where its partitions were before is not known any more"
        return CommittedSinceError(nowhere, f"choose offsets yourself: reset_offsets.py {where.told} --help")
    command = plain_reset(where, instead.offsets)
    report = Report(where.name, where.store, state, instead.moves, command, notes=_notes(instead, last))
    before = (
        "nothing was written; to begin once more where the moved partitions were before (without --execute it shows it)"
    )
    return CommittedSinceError(told, f"{before}: {command}", report)


def _because(last: Event) -> str:
    return f" ({last.reason})" if last.reason else ""


def _notes(instead: ByHand, last: Event) -> tuple[str, ...]:
    return (f"the offsets before the reset that began generation {last.generation}", *instead.left_out)


def plain_reset(where: Places, offsets: Numbers) -> str:
    """The command that moves exactly these partitions."""
    script = f"reset_offsets.py {where.told}{'' if where.kafka else ' --bootstrap-server HOST:PORT'}"
    values = {offset for of in offsets.values() for offset in of.values()}
    if len(values) == 1:
        scope = (f"{topic}:{','.join(map(str, sorted(of)))}" for topic, of in offsets.items())
        named = shlex.join(word for text in scope for word in ("--topic", text))
        return f"{script} {named} --to-offset {values.pop()} --execute"
    return piped(offsets, f"{script} --from-file - --execute")
