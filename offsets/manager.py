"""OffsetManager: one driver's hold on the register, and the only caller of stores.

Reads, applies one transition of `offsets.protocol`, writes by compare-and-set on what it last read or wrote (rule V).
Never retries a write, never writes again after one that failed or was fenced (rules F and S).  Not for two threads at
once.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import NoReturn

from offsets import protocol
from offsets.codec import decode_state, encode_state
from offsets.errors import (
    FencedError,
    ForeignStateError,
    ProtocolError,
    RegisterError,
    StateDamagedError,
    StreamError,
    UnavailableError,
)
from offsets.failpoints import passing, reach
from offsets.stores.base import MAX_STATE_BYTES, OffsetStore, TransactionalStore, Versioned, Work
from offsets.structs import LostRange, Manifest, ManifestRef, OffsetRange, Owner, State, TopicState

# Left free beside `before`, so that whoever takes the register next has room for a longer name.
TAKE_BYTES = 4096


def wall_ms() -> int:
    """Unix epoch in milliseconds: for people to read, never for decisions."""
    return time.time_ns() // 1_000_000


def new_nonce() -> str:
    return uuid.uuid4().hex


def current_owner(run_id: str) -> Owner:
    """This process, as of now."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Owner(socket.gethostname(), os.getpid(), started, run_id)


class OffsetManager:
    """`owner`: who writes; `clock`: wall milliseconds; `job`: the job file's name, for remedies.

    Every write raises FencedError (another driver has written), UnavailableError (outcome not known) or ProtocolError
    (not allowed now; nothing was sent).  After the first two, and after any other failure of a write, every later
    write raises the same error again.
    """

    def __init__(
        self,
        store: OffsetStore,
        owner: Owner,
        clock: Callable[[], int] = wall_ms,
        new_nonce: Callable[[], str] = new_nonce,
        job: str = "JOB.cfg",
    ) -> None:
        self._store, self._owner, self._clock, self._new_nonce, self.job = store, owner, clock, new_nonce, job
        self._known: Versioned | None = None  # the register as last read or written
        self._state: State | None = None
        self._has_read, self._taken = False, False
        self._failure: StreamError | None = None

    @property
    def state(self) -> State:
        """The register as this driver last read or wrote it.  Raises ProtocolError if it knows of none."""
        if self._state is None:
            raise ProtocolError("no register has been read or created yet")
        return self._state

    def read(self) -> State | None:
        """The register as it is now, or None if there never was one (protocol step `read`).

        Raises RegisterError if it was there before and is gone, StateDamagedError if it is not legible.  A driver that
        has taken the register gets FencedError, and is fenced for good, if it is not what it wrote.
        """
        self._refuse_after_failure()
        with passing("read"):
            found = self._store.load()
        if found is None and self._known is not None:
            self._fail(self._vanished())
        if self._taken and found != self._known:
            self._fail(self._fenced(found))
        self._known, self._state, self._has_read = found, None, True
        if found is not None:
            self._state = decode_state(found.state, self._where(), self.job)
        return self._state

    def changed(self) -> bool:
        """Whether somebody else has written since this driver last read or wrote.

        One that has taken the register is fenced for good if so (rule M).
        """
        had_read, known = self._has_read, self._known
        try:
            self.read()
        except FencedError:
            return True
        return had_read and self._known != known

    def create(self, app: str, topics: Mapping[str, TopicState]) -> State:
        """The first register: epoch 0, to be taken.  Only where `read` has found none."""
        self._refuse_after_failure()
        if not self._has_read or self._known is not None:
            raise ProtocolError("create is only for a register that was looked for and never was there")
        return self._write("create", lambda nonce, now: protocol.created(app, topics, self._owner, nonce, now))

    def take(self) -> State:
        """Makes this driver the owner and fences all others.  Before anything else is written."""
        state = self._write("take", lambda nonce, now: protocol.taken(self.state, self._owner, nonce, now))
        self._taken = True
        return state

    def prepare(
        self,
        topics: Mapping[str, TopicState],
        ranges: tuple[OffsetRange, ...],
        manifest: ManifestRef | None,
        schemas: Mapping[str, str] = {},
    ) -> State:
        """Decides the batch.  `topics` and `ranges`: the plan's; `schemas`: see `protocol.prepared`."""
        return self._write(
            "prepare",
            lambda nonce, now: protocol.prepared(
                self._own("prepare"), topics, ranges, manifest, nonce, now, schemas=schemas
            ),
        )

    def commit(self) -> State:
        """Ends the pending batch, all of which must be published."""
        return self._write("commit", lambda nonce, now: protocol.committed(self._own("commit"), nonce, now))

    def commit_ranges(
        self,
        topics: Mapping[str, TopicState],
        ranges: tuple[OffsetRange, ...],
        schemas: Mapping[str, str] = {},
        work: Work | None = None,
    ) -> State:
        """COMMIT without PREPARE: nothing says later whether the batch was published.  Arguments as in `prepare`.

        `work` is done in the same transaction, and may be called again if that was rolled back; only where the store
        is a database.  What it raises is raised, and nothing was written.
        """
        return self._write(
            "commit",
            lambda nonce, now: protocol.advanced(self._own("commit"), topics, ranges, nonce, now, schemas=schemas),
            work,
        )

    def reset(self, topics: Mapping[str, TopicState], reason: str) -> State:
        """Begins a new generation at `topics`; `reason`: who, when and why.

        A register of so many partitions that what it was would not fit in beside them goes without: no undo then.
        """

        return self._begin(lambda nonce, now: protocol.reset(self._own("reset"), topics, reason, nonce, now))

    def discard(self, topics: Mapping[str, TopicState], reason: str) -> State:
        """The same, and gives up the pending batch.  Only if nobody can finish that."""
        return self._begin(lambda nonce, now: protocol.discarded(self._own("discard"), topics, reason, nonce, now))

    def _begin(self, reset: Callable[[str, int], State]) -> State:
        def begun(nonce: str, now: int) -> State:
            new = reset(nonce, now)
            return new if len(encode_state(new)) <= MAX_STATE_BYTES - TAKE_BYTES else replace(new, before=None)

        return self._write("reset", begun)

    def skip(self, topics: Mapping[str, TopicState], losses: tuple[LostRange, ...]) -> State:
        """Begins a new generation at `topics`, behind what Kafka has lost."""
        return self._write("skip", lambda nonce, now: protocol.skipped(self._own("skip"), topics, losses, nonce, now))

    def rebuild(self, manifest: Manifest, ref: ManifestRef | None) -> State:
        """Writes a register that is gone, or damaged, anew from the newest entry of the batch log; to be taken.

        Raises RegisterError if there is a legible one, ForeignStateError if what is there may not be ours: neither is
        ever overwritten.
        """
        self._refuse_after_failure()
        found = self._store.load()
        if found is not None and self._legible(found):
            raise RegisterError(f"{self._where()} is in order: nothing to rebuild", "launch without --recover")
        self._known, self._state, self._taken = found, None, False
        return self._write("rebuild", lambda nonce, now: protocol.rebuilt(manifest, ref, self._owner, nonce, now))

    def _write(self, step: str, transition: Callable[[str, int], State], work: Work | None = None) -> State:
        """`transition`: from a nonce and the time to the new register."""
        self._refuse_after_failure()
        new = transition(self._new_nonce(), self._clock())
        data = self._sized(encode_state(new))
        reach(f"{step}.before")
        try:
            written = self._replace(data, work)
            reach(f"{step}.sent")  # done, but this driver has not learned it
        except StreamError as e:
            self._fail(e)
        except BaseException as e:  # a signal, a defect: whether it was written cannot be told
            self._failure = UnavailableError(f"the outcome of {step} on {self._where()} is not known: {e!r}")
            raise
        self._known, self._state = written, new
        reach(f"{step}.after")
        return new

    def _replace(self, data: bytes, work: Work | None) -> Versioned:
        if work is None:
            return self._store.replace(self._known, data)
        if not isinstance(self._store, TransactionalStore):
            raise ProtocolError(f"{self._store.url} is no database that could share a transaction")
        return self._store.replace_within(self._known, data, work)

    def _own(self, step: str) -> State:
        if not self._taken:
            raise ProtocolError(f"{step} by a driver that has not taken the register")
        return self.state

    def _legible(self, found: Versioned) -> bool:
        try:
            decode_state(found.state, self._where(), self.job)
        except ForeignStateError:
            raise
        except StateDamagedError:
            return False
        return True

    def _sized(self, data: bytes) -> bytes:
        if len(data) > MAX_STATE_BYTES:
            found = f"{self._where()} would have {len(data)} bytes, over the limit of {MAX_STATE_BYTES}"
            raise RegisterError(found, "read fewer partitions in one job: share the topics out over several jobs")
        return data

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: StreamError) -> NoReturn:
        self._failure = error
        raise error

    def _where(self) -> str:
        return f"the register in {self._store.url}"

    def _vanished(self) -> RegisterError:
        remedy = f"if it was deleted, rebuild it: run_stream.py {self.job} --recover register"
        return RegisterError(f"{self._where()} was there and is gone", remedy)

    def _fenced(self, found: Versioned | None) -> FencedError:
        return FencedError(
            f"{self._where()} was written by another driver (version {found and found.version}, this one knows "
            f"{self._known and self._known.version})",
            "nothing to do: the other run goes on from here",
        )
