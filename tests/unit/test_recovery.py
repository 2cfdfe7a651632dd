"""What `--recover` does: the printed remedies work, and nothing is taken for done unseen."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from offsets.errors import RegisterError
from offsets.filesystems.base import FileStatus
from offsets.manager import OffsetManager, current_owner
from offsets.stores.base import MemoryStore
from offsets.structs import (
    AT_LEAST_ONCE,
    AT_MOST_ONCE,
    EXACTLY_ONCE,
    TRANSACTIONAL_ONCE,
    Manifest,
    ManifestRef,
    OffsetRange,
    StagedFile,
    State,
    TopicState,
)
from streaming.config.reading import load
from streaming.run.recovery import mend
from streaming.sinks.batch_log import LoggedBatch

JOB = """
[job]
name = j
[source]
subscribe = t,new
startingOffsets = earliest
[kafka]
bootstrap.servers = localhost:9092
[offsets]
store = file:///s
[sink]
path = file:///o
"""


class LoggedSink:
    """A sink with a marker and one logged batch, whose files are there or not."""

    url = "file:///o"

    def __init__(self, staged: bool, visible: bool, guarantee: str = EXACTLY_ONCE, trace: bool = False) -> None:
        manifest = Manifest(
            app="a" * 32,
            generation=0,
            epoch=1,
            seq=3,
            ranges=() if trace else (OffsetRange("t", 0, 5, 9),),
            topics={"t": TopicState("i", {0: 9})},
            files=() if trace else (StagedFile("_staging/1/3/u", "t+p0.json", 10, 1, 4),),
            records=4,
            time_ms=1,
            guarantee=guarantee,
        )
        ref = ManifestRef("_staging/1/3/manifest.json", "0" * 64, 1) if staged else None
        self._batch, self._visible = LoggedBatch("_batches/0/3.json", manifest, ref), visible
        self.filesystem = self

    def marker(self) -> str:
        return "a" * 32

    def newest_batch(self) -> LoggedBatch:
        return self._batch

    def status(self, path: str) -> FileStatus | None:
        return FileStatus(path, 10, False) if self._visible else None


def rebuilt(
    recover: str, staged: bool, visible: bool, guarantee: str = EXACTLY_ONCE, settings: Sequence[str] = ()
) -> State | None:
    manager = OffsetManager(MemoryStore(), current_owner("run"))
    sink: Any = LoggedSink(staged, visible, guarantee)
    mend(recover, load("j.cfg", JOB, settings), manager, sink)
    return manager.read()


def test_a_lost_register_is_pending_while_the_staging_is_there() -> None:
    """The batch starts where it started; the next driver finishes it."""
    state = rebuilt("register", staged=True, visible=False)
    assert state
    assert state.pending
    assert (state.seq, state.topics["t"].offsets) == (3, {0: 5})


def test_a_lost_register_is_committed_once_its_files_are_seen() -> None:
    """Staging is collected only after the commit, and the files are where readers look."""
    state = rebuilt("register", staged=False, visible=True)
    assert state
    assert (state.pending, state.seq, state.topics["t"].offsets) == (None, 4, {0: 9})


def test_a_batch_that_is_nowhere_is_not_taken_for_committed() -> None:
    """Staging wiped and register lost: going on would lose the batch, unless a person says that it was moved away."""
    with pytest.raises(RegisterError, match=r"t\+p0\.json") as caught:
        rebuilt("register", staged=False, visible=False)
    assert "--recover register-as-published" in caught.value.remedy
    state = rebuilt("register-as-published", staged=False, visible=False)
    assert state
    assert state.topics["t"].offsets == {0: 9}


@pytest.mark.parametrize("guarantee", [AT_LEAST_ONCE, AT_MOST_ONCE])
def test_an_entry_of_a_weaker_guarantee_says_that_its_batch_is_committed(guarantee: str) -> None:
    """Its files may have been moved away, or lost as at-most-once permits: going on behind it repeats nothing."""
    state = rebuilt("register", staged=False, visible=False, guarantee=guarantee)
    assert state
    assert (state.pending, state.seq, state.topics["t"].offsets) == (None, 4, {0: 9})


def test_a_batch_that_was_committed_with_its_rows_may_lack_in_the_log() -> None:
    """Rows may be there of which only the lost register knew: a person has to see to them, from these offsets on."""
    with pytest.raises(RegisterError, match="nothing but the lost register knows") as caught:
        rebuilt("register", staged=False, visible=False, guarantee=TRANSACTIONAL_ONCE)
    assert "t-0: 9" in caught.value.remedy
    assert "--recover register-as-published" in caught.value.remedy
    state = rebuilt("register-as-published", staged=False, visible=False, guarantee=TRANSACTIONAL_ONCE)
    assert state
    assert (state.pending, state.seq, state.topics["t"].offsets) == (None, 4, {0: 9})


class Sharing:
    transactional = True

    def write_partition(self, range_: OffsetRange, records: Iterable[object]) -> None: ...

    def commit_batch(self, connection: object, batch: object, results: object) -> None: ...


@pytest.mark.parametrize("settings", [(), (f"sink.class={__name__}:Sharing",)], ids=["files", "transactions"])
def test_behind_a_reset_rows_may_be_there_too(settings: Sequence[str]) -> None:
    """The trace of a reset does not say how batches are written; the job does."""
    sink: Any = LoggedSink(staged=False, visible=False, trace=True)
    config, manager = load("j.cfg", JOB, settings), OffsetManager(MemoryStore(), current_owner("run"))
    if not settings:
        mend("register", config, manager, sink)
        return
    with pytest.raises(RegisterError, match="nothing but the lost register knows"):
        mend("register", config, manager, sink)
    mend("register-as-published", config, manager, sink)


@pytest.mark.parametrize("recover", ["register", "register-as-published"])
def test_what_a_direct_sink_may_have_written_at_most_once_is_not_gone_back_to(recover: str) -> None:
    """The log may lack the newest batch: only the printed command goes on, which begins behind all that there is."""
    given = ("sink.class=own:Sink", f"job.delivery.guarantee={AT_MOST_ONCE}")
    with pytest.raises(RegisterError, match="must not write it twice") as caught:
        rebuilt(recover, staged=False, visible=False, guarantee=AT_MOST_ONCE, settings=given)
    words = shlex.split(caught.value.remedy)
    fresh = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert rebuilt("register", staged=False, visible=False, guarantee=AT_MOST_ONCE, settings=(*given, *fresh))
    assert rebuilt(recover, staged=False, visible=True, settings=given[:1])


def test_a_sink_without_batch_log_is_no_first_launch_by_itself() -> None:
    """Deleting the rest would read everything twice where files were published: the remedy tells the two apart."""
    sink: Any = LoggedSink(staged=False, visible=True)
    sink.newest_batch = lambda: None
    with pytest.raises(RegisterError, match="has no batch log") as caught:
        mend("register", load("j.cfg", JOB), OffsetManager(MemoryStore(), current_owner("run")), sink)
    assert "if nothing was ever published there, delete" in caught.value.remedy
    assert "if files were published, restore" in caught.value.remedy
