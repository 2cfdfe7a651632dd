"""Planted bugs: each mistake of protocol.md section 8, as a patch of the product in a driver process of its own.

`run_tuple(..., planted="tests.crash.planted:one+another")` calls them before the product's main; nothing of them is in
the product.  Some need company: a world in which the mistake shows (`planted_worlds`), or the end of a second guard,
which would turn what the protocol alone would let happen into a stop (`trusting`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import streaming.run.launch
import streaming.sinks.batch_log
import streaming.sinks.file
import streaming.sinks.garbage
import streaming.sinks.publish
from offsets import protocol
from offsets.errors import DestinationExistsError, StreamError, UnavailableError
from offsets.filesystems import Filesystem
from offsets.manager import OffsetManager
from offsets.profiles import (
    COMMIT,
    DIRECT,
    GC,
    LOG,
    MANIFEST,
    PREPARE,
    PROFILES,
    PUBLISH,
    STAGE,
    STAGED,
    WRITE,
    Kind,
    Profile,
    Step,
)
from offsets.structs import EXACTLY_ONCE, State
from streaming.run.batch import BatchInFlight
from streaming.run.committer import Committer
from streaming.run.runner import Runner
from streaming.sinks.names import STAGING
from tests.crash import planted_files, planted_worlds, planted_writes


def __getattr__(names: str) -> Callable[[], None]:
    """`one+another`: all of them at once, of any module of planted bugs and worlds."""
    places = {**vars(planted_worlds), **vars(planted_files), **vars(planted_writes), **globals()}
    if any(name not in places for name in names.split("+")):
        raise AttributeError(names)

    def plant() -> None:
        for name in names.split("+"):
            places[name]()

    return plant


def trusting() -> None:
    """What stands behind the register is not asked: neither manifest nor batch log."""
    streaming.sinks.publish.all = lambda _: True  # type: ignore[attr-defined]  # rule M
    streaming.sinks.batch_log.refuse_logged = lambda *_: None
    log_batch = streaming.sinks.publish.log_batch

    def log(*arguments: Any) -> None:
        with suppress(DestinationExistsError):
            log_batch(*arguments)

    streaming.sinks.publish.log_batch = log


def no_write_at_takeover() -> None:
    """Who finds a register that was taken once goes on under its epoch."""
    real = OffsetManager.take

    def take(self: OffsetManager) -> State:
        if not self.state.epoch:
            return real(self)
        self._taken = True
        return self.state

    OffsetManager.take = take  # type: ignore[method-assign]


def plan_again() -> None:
    """A PREPARE of unknown outcome is taken for one that failed: the batch is staged and prepared once more."""
    real = Committer._prepare

    def prepare(self: Committer, flight: BatchInFlight) -> None:
        try:
            real(self, flight)
        except UnavailableError:
            self._manager._failure = None
            self._sink.filesystem.delete(flight.ref.path)
            self._stage(flight)
            self._write_manifest(flight)
            real(self, flight)

    Committer._prepare = prepare  # type: ignore[method-assign]


def clean_up() -> None:
    """A driver that leaves takes its own staging with it."""
    real = Committer.run

    def run(self: Committer, batch: Any, *arguments: Any) -> BatchInFlight:
        try:
            return real(self, batch, *arguments)
        except StreamError:
            self._sink.filesystem.delete(batch.place.directory, recursive=True)
            raise

    Committer.run = run  # type: ignore[method-assign]


def collect_prepared() -> None:
    """The staging of a batch is collected once it is prepared."""
    real = Committer._prepare

    def prepare(self: Committer, flight: BatchInFlight) -> None:
        real(self, flight)
        place = flight.batch.place
        self._sink.collect_garbage((place.epoch, place.seq + 1))

    Committer._prepare = prepare  # type: ignore[method-assign]


def collect_others() -> None:
    """All is garbage that the pending batch does not name which this driver knows of."""

    def collect(filesystem: Filesystem, older_than: tuple[int, int]) -> None:
        for entry in filesystem.list(STAGING):
            filesystem.delete(f"{STAGING}/{entry.name}", recursive=True)

    streaming.sinks.garbage.collect_garbage = collect


def collect_before_takeover() -> None:
    """What the launch before has left in staging goes before the register is taken from it."""
    real = streaming.run.launch.admit

    def admit(config: Any, manager: Any, sink: Any, state: State | None, *arguments: Any) -> None:
        if state is not None:
            sink.collect_garbage((state.epoch + 1, state.seq))
        real(config, manager, sink, state, *arguments)

    streaming.run.launch.admit = admit


def discard_prepared() -> None:
    """A reset forgets the batch that is pending."""
    redo, reset = Committer.redo, protocol.reset
    allowed: Any = protocol.ALLOWED
    allowed["pending"] |= {"reset"}

    def redo_later(self: Committer) -> Any:
        return redo(self) if self._manager.state.epoch != 2 else None  # the launch that resets

    def forget(state: State, *arguments: Any) -> State:
        return reset(replace(state, pending=None, seq=state.seq + 1), *arguments)

    Committer.redo = redo_later  # type: ignore[method-assign]
    protocol.reset = forget


def ordered(kind: Kind, *steps: Step) -> None:
    """The steps of an exactly-once batch, otherwise."""
    profiles: Any = PROFILES
    profiles[EXACTLY_ONCE, kind] = Profile(EXACTLY_ONCE, kind, steps)


def publish_before_prepare() -> None:
    """Files become visible before the batch is decided."""
    ordered(STAGED, STAGE, MANIFEST, PUBLISH, PREPARE, COMMIT, GC)


def no_intent() -> None:
    """A direct sink is written to before its ranges are pinned."""
    ordered(DIRECT, WRITE, LOG, COMMIT, GC)


def plan_past_failure() -> None:
    """The run goes on behind a batch that has failed, and commits the newest until."""
    real = Runner._fail
    failed: list[BaseException] = []

    def fail(self: Runner, error: BaseException) -> None:
        if failed or self._batch is None:
            real(self, error)
            return
        failed.append(error)
        state, plan = self._manager.state, self._batch.plan
        self._manager._state = replace(state, topics=protocol.advance(plan.topics, plan.ranges))

    Runner._fail = fail  # type: ignore[method-assign]
