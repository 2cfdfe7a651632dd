"""Executes a reset by the commit protocol: lock, read, take, publish what is prepared, one compare-and-set.  Driver.

The order matters: all that can be refused is refused before the register is taken, a batch that is prepared is
published before any offset moves (or given up, if a person says so and nobody could publish it), and the offsets move
in one write.  A crash leaves the old generation or the new one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timezone

from offsets.errors import (
    AlreadyRunningError,
    FencedError,
    StreamError,
    UnavailableError,
)
from offsets.manager import OffsetManager, current_owner
from offsets.protocol import once_committed, without_pending
from offsets.stores import open_store
from offsets.stores.base import OffsetStore
from offsets.structs import Manifest, Owner, State
from streaming.config.places import Places
from streaming.person import person
from streaming.resetting.discarding import give_up
from streaming.resetting.doubled import doubled_by
from streaming.resetting.refusals import check_pending, check_places, check_register, check_staged, job_of
from streaming.resetting.values import Choose, Done, GivenUp
from streaming.run.anew import trace_reset
from streaming.run.committer import Committer
from streaming.run.fencing import fencing_told
from streaming.run.holding import held
from streaming.run.pending import way_out_told
from streaming.run.skipping import LossKeeper
from streaming.sinks.file import StagedFileSink, open_sink

ANSWER_SECONDS = 15.0
RETAKES = 10  # a run that is alive, and not locked out, writes between our look and our take


def execute(places: Places, choose: Choose, reason: str, force: bool = False, discard: bool = False) -> Done:
    """Begins the generation that `choose` chooses; `reason`: what was asked for and why, may be empty.

    Never a state between the old and the new one.  `force`: takes no lock, and so fences a run that is alive.
    `discard`: a batch that is pending, and that nobody can finish, is given up.

    Raises AlreadyRunningError (75) while a run holds the lock, RegisterError (3) where register and sink do not belong
    together or a pending batch cannot be published from here, FencedError (75), UnavailableError (69), and whatever
    `choose` raises.
    """
    owner = current_owner(uuid.uuid4().hex)
    sink = open_sink(places.sink) if places.sink else None
    store = open_store(places.store, places.session_seconds, ANSWER_SECONDS, places.retain_states)
    with closing(store), _told(places), nullcontext() if force else held(store, owner):
        return _Reset(places, store, sink, owner, force, discard).run(choose, why(reason))


def why(reason: str) -> str:
    """Who, when and why, in one line: what the register keeps of a reset, and every script shows."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    told = " ".join(reason.encode(errors="replace").decode().split())  # bytes of an argument may be no text
    return f"{person()}, {now}" + (f": {told}" if told else "")


@contextmanager
def _told(places: Places) -> Iterator[None]:
    """Remedies as of a reset, where errors speak of runs."""
    try:
        yield
    except AlreadyRunningError as e:
        e.remedy = "end that run first, or add --force, which fences it: it leaves with 75 and commits nothing any more"
        raise
    except FencedError as e:
        e.remedy = f"the offsets were not reset by this; see show_offsets.py {places.told}, then again"
        raise


@dataclass(frozen=True)
class _Reset:
    """The parts of one reset."""

    places: Places
    store: OffsetStore
    sink: StagedFileSink | None
    owner: Owner
    force: bool
    discard: bool

    def run(self, choose: Choose, why: str) -> Done:
        manager = self._taken(self._looked(choose))
        with fencing_told(manager):
            given_up = self._given_up(manager) if self.discard else None
            redone = None if self.discard else self._settled(manager)
            before = without_pending(manager.state)
            chosen = choose(before)
            with self._outcome_told():
                if given_up:
                    manager.discard(chosen.topics, f"{why}; {given_up}")
                else:
                    manager.reset(chosen.topics, why)
        self._trace(manager)
        doubled, notes = doubled_by(before.topics, manager.state.topics, self.sink.filesystem if self.sink else None)
        undo = f"offset_history.py {self.places.told} --undo"
        if manager.state.before is None:
            notes += ("the register has too many partitions to keep what they were at beside them: there is no undo",)
        return Done(before, manager.state, chosen, redone, doubled, undo, given_up, notes)

    def _looked(self, choose: Choose) -> OffsetManager:
        """Has read the register, and found nothing that speaks against it.  Raises what does: nothing is written."""
        for _ in range(RETAKES if self.force else 0):
            with suppress(FencedError):
                return self._look(choose)
        return self._look(choose)

    def _look(self, choose: Choose) -> OffsetManager:
        """One look.  FencedError if what speaks against a reset may be what a run that is alive wrote meanwhile."""
        manager = self._manager()
        with fencing_told(manager):
            state = check_places(self.places, manager.read(), self.sink)
            self._check(manager, state)
        with nullcontext() if self.force else fencing_told(manager):
            choose(without_pending(state) if self.discard else once_committed(state))
        return manager

    def _check(self, manager: OffsetManager, state: State) -> None:
        """Raises what speaks against a reset while this is pending."""
        if self.discard:
            self._given_up(manager)
            return
        check_pending(self.places, state, self.sink)
        with way_out_told(self.places.told):
            check_staged(state, self.sink, manager.changed)

    def _given_up(self, manager: OffsetManager) -> GivenUp:
        return give_up(self.places, manager.state, self.sink, manager.changed)

    def _taken(self, manager: OffsetManager) -> OffsetManager:
        """The register is ours.

        Where a run may be alive, what it has written since the look is taken along.  Otherwise that ends it: one that
        slept until others had gone on must not move what they have done.
        """
        for _ in range(RETAKES if self.force else 0):
            with suppress(FencedError):
                manager.take()
                return manager
            manager = self._manager()
            state = check_register(self.places, manager.read())
            if self.discard:
                self._given_up(manager)
            else:
                check_pending(self.places, state, self.sink)
        manager.take()
        return manager

    def _settled(self, manager: OffsetManager) -> Manifest | None:
        """Does what the register still owes to the sink; the batch that was published for it."""
        if self.sink is None:
            return None
        with way_out_told(self.places.told):
            redone = Committer(manager, self.sink).redo()
        LossKeeper(manager, self.sink).write_down()
        return redone

    @contextmanager
    def _outcome_told(self) -> Iterator[None]:
        """Where to see whether the one write was done that nobody has answered."""
        try:
            yield
        except UnavailableError as e:
            look = f"see show_offsets.py {self.places.told}: its last reset says whether it was done"
            e.remedy = "; ".join(filter(None, (e.remedy, look)))
            raise

    def _trace(self, manager: OffsetManager) -> None:
        """In the batch log, and what was given up, unless a run that is faster has begun by now; then that does it."""
        with suppress(StreamError):
            if self.sink is not None:
                trace_reset(manager, self.sink)
                LossKeeper(manager, self.sink).write_down()

    def _manager(self) -> OffsetManager:
        return OffsetManager(self.store, self.owner, job=job_of(self.places))
