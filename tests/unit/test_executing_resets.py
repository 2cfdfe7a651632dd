"""Executing a reset: refused before anything is written, or one new generation; register and sink are real files."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from offsets import failpoints
from offsets.codec import decode_manifest, decode_state
from offsets.errors import (
    AlreadyRunningError,
    ConfigError,
    FencedError,
    RegisterError,
    StagingLostError,
    StreamError,
    UnavailableError,
)
from offsets.filesystems import Filesystem, LocalFilesystem, open_filesystem
from offsets.manager import current_owner
from offsets.planning import Plan
from offsets.reset import Reset
from offsets.stores import open_store
from offsets.structs import LostRange, Manifest, OffsetRange, State, TopicState
from streaming.config.places import Places, of_job
from streaming.person import person
from streaming.resetting import doubled
from streaming.resetting.doubled import NAMED, find_doubled, rewound
from streaming.resetting.executing import execute
from streaming.resetting.values import Done, Doubled
from streaming.run.anew import trace_again
from streaming.run.batch import manifest_of
from streaming.run.skipping import LossKeeper
from streaming.sinks.file import StagedFileSink
from streaming.sinks.losses import last_losses
from streaming.tasks.result import TaskResult
from streaming.verification.verify import verify
from tests.contract.lakes import TOPIC_ID, Killed, Lake, killed_at
from tests.unit.test_launch import World, world

__all__ = ["world"]

PREPARED = "publish.each"


class Place:
    """A job of two batches on a local disk, its places, and its register as it is."""

    def __init__(self, folder: Path) -> None:
        self.url = f"file://{folder}/offsets"
        self.lake = Lake(open_store(self.url), LocalFilesystem(f"{folder}/lake"))
        self.lake.run(2)
        self.places = Places("orders", "orders.cfg", self.url, f"file://{folder}/lake", {})

    @property
    def state(self) -> State:
        with closing(open_store(self.url)) as store:
            found = store.load()
        assert found
        return decode_state(found.state)

    def files(self) -> set[str]:
        root = Path(self.lake.sink.url.removeprefix("file://"))
        return {str(p.relative_to(root)) for p in root.rglob("*.txt") if not str(p.relative_to(root)).startswith("_")}

    def prepare(self, point: str = PREPARED) -> None:
        """A driver dies while its third batch is prepared."""
        with killed_at(point, 2 if point == PREPARED else 1):
            self.lake.run(1)

    def finish_meanwhile(self) -> None:
        """A run finishes that batch right behind somebody's next look at the register."""

        def finish(name: str) -> None:
            if name == "read.after":
                failpoints.arm(None)
                self.lake.launch()

        failpoints.arm(finish)

    def reset(self, offset: int = 5, reason: str = "", force: bool = False, sink: bool = True) -> Done:
        places = self.places if sink else replace(self.places, sink=None)
        return execute(places, to(offset), reason, force)


def to(offset: int, partition: int = 0) -> Callable[[State], Reset]:
    """One partition there, the rest as it is."""

    def choose(state: State) -> Reset:
        assert state.pending is None
        orders = state.topics["orders"]
        return Reset({"orders": replace(orders, offsets={**orders.offsets, partition: offset})})

    return choose


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    failpoints.arm(None)


def test_a_reset_begins_a_generation_and_can_be_undone(place: Place) -> None:
    """Who, when and why is in the register; which files stand twice, the undo and the trace are told."""
    before = place.state
    done = place.reset(reason="replay of Friday")
    state = place.state
    assert (state.generation, state.seq, state.epoch) == (1, 2, before.epoch + 1)
    assert state.topics == {"orders": TopicState(TOPIC_ID, {0: 5, 1: 20})}
    assert state.before == before.topics
    assert state.reason.startswith(f"{person()}, 20")
    assert state.reason.endswith(": replay of Friday")
    assert (done.state, done.before.topics, done.redone) == (state, before.topics, None)
    assert done.doubled.count == len(done.doubled.files) == 4, "both folders' of both batches of partition 0"
    assert set(done.doubled.files) == {name for name in place.files() if "+p0+" in name}
    assert done.doubled.complete
    assert done.undo_command == "offset_history.py orders.cfg --undo"
    newest = place.lake.sink.newest_batch()
    assert newest
    assert newest.manifest.topics == state.topics

    assert state.before
    undone = execute(place.places, lambda state: Reset(state.before or {}), "undo")
    assert undone.state.topics == before.topics
    assert undone.doubled == Doubled()


@pytest.mark.parametrize("point", [PREPARED, "publish.before", "commit.before", "prepare.after"])
def test_a_prepared_batch_is_published_first(place: Place, point: str) -> None:
    """All of its files are there before any offset moves; what is chosen is chosen behind it."""
    place.prepare(point)
    seen: list[State] = []
    done = execute(place.places, lambda state: seen.append(state) or to(5)(state), "")
    assert done.redone
    assert len(place.files()) == 12
    assert [state.topics["orders"].offsets for state in seen] == [{0: 30, 1: 30}] * 2
    assert [state.seq for state in seen] == [3, 3]
    assert (place.state.topics["orders"].offsets, place.state.pending) == ({0: 5, 1: 30}, None)


def lose_staging(place: Place) -> None:
    """And the files of the batch that is prepared with it."""
    place.prepare("publish.before")
    for path in Path(place.lake.sink.url.removeprefix("file://")).glob("_staging/*/*/*"):
        path.unlink()


def intend(place: Place) -> None:
    """As a direct sink's batch does."""
    planned = place.lake.planned().plan
    place.lake.manager.prepare(planned.topics, planned.ranges, None)


def put_back(place: Place) -> None:
    """The register as it was two batches ago."""
    for path in sorted(Path(place.url.removeprefix("file://")).glob("state/*"))[4:]:
        path.unlink()


def nothing(place: Place) -> None: ...


def forget_marker(place: Place) -> None:
    place.lake.filesystem.delete("_application.json")


REFUSED: dict[str, tuple[Callable[[Place], None], bool, str]] = {
    "a direct sink's batch": (intend, True, r"only that sink can finish what may be written: orders-0\[20,30\)"),
    "staging that is gone": (lose_staging, True, "staged files of the pending batch are gone"),
    "no sink for what is prepared": (Place.prepare, False, "batch 2 is pending: orders-0"),
    "another job's sink": (forget_marker, True, "marker lost"),
    "a register of long ago": (put_back, True, "the register has yet to write it"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_refused_changes_nothing(place: Place, case: str, force: bool) -> None:
    """The register is as it was, the epoch too, and so is the sink."""
    spoil, sink, told = REFUSED[case]
    spoil(place)
    before, files = place.state, place.files()
    with pytest.raises(RegisterError, match=told) as caught:
        place.reset(sink=sink, force=force)
    assert caught.value.remedy
    assert (place.state, place.files()) == (before, files)


def test_a_direct_sinks_batch_that_is_logged_is_written(place: Place) -> None:
    """It is only committed, as by a launch."""
    batch = place.lake.planned()
    intend(place)
    results = [TaskResult(r, (), 10, 0, 0, written=10) for r in batch.plan.ranges]
    place.lake.sink.log_written(manifest_of(place.state.app, batch, tuple(results)))
    done = place.reset()
    assert done.redone
    assert done.before.topics["orders"].offsets == {0: 30, 1: 30}


def test_a_reset_whose_reply_is_lost_says_where_to_look(place: Place) -> None:
    """It may be done."""

    def lose(name: str) -> None:
        if name == "reset.sent":
            raise UnavailableError("no answer")

    failpoints.arm(lose)
    with pytest.raises(UnavailableError) as caught:
        place.reset()
    assert caught.value.remedy == "see show_offsets.py orders.cfg: its last reset says whether it was done"
    assert place.state.generation == 1


def test_what_is_chosen_wrongly_changes_nothing(place: Place) -> None:
    """The choice is tried before the register is taken."""

    def choose(state: State) -> Reset:
        raise ConfigError(["no such topic"])

    place.prepare()
    before = place.state
    with pytest.raises(ConfigError):
        execute(place.places, choose, "")
    assert place.state == before


def test_no_register_is_no_reset(tmp_path: Path) -> None:
    """Nothing is made of nothing."""
    places = Places("orders", "orders.cfg", f"file://{tmp_path}/offsets", f"file://{tmp_path}/lake", {})
    for each in (places, replace(places, sink=None)):
        with pytest.raises(RegisterError, match="holds no register"):
            execute(each, to(0), "")
    assert not (tmp_path / "lake" / "_application.json").exists()


def test_a_run_that_is_alive_is_refused_or_fenced(place: Place) -> None:
    """75 names the holder; with --force the run commits nothing any more, and its files stay as they are."""
    with place.lake.store.lock(current_owner("alive"), 0):
        before = place.state
        with pytest.raises(AlreadyRunningError, match="another run holds the lock: pid") as caught:
            place.reset()
        assert "--force" in caught.value.remedy
        assert place.state == before
        place.reset(force=True)
        files, state = place.files(), place.state
        with pytest.raises(FencedError):
            place.lake.run(1)
        assert (place.files(), place.state) == (files, state)


def test_a_forced_reset_takes_along_what_was_written_meanwhile(place: Place) -> None:
    """A run that commits between the look and the take does not win by that, and nothing of it is lost."""
    seen: list[int] = []

    def choose(state: State) -> Reset:
        seen.append(state.seq)
        if len(seen) == 1:
            place.lake.run(1)
        return to(5)(state)

    execute(place.places, choose, "", force=True)
    assert (seen, place.state.seq, place.state.topics["orders"].offsets) == ([2, 3], 3, {0: 5, 1: 30})


def test_a_forced_reset_is_not_refused_for_what_a_run_writes_meanwhile(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is logged behind the look at the register is no register of long ago: it looks again."""
    look, runs = StagedFileSink.refuse_logged, iter([1])

    def late(sink: StagedFileSink, generation: int, seq: int) -> None:
        place.lake.run(next(runs, 0))
        look(sink, generation, seq)

    monkeypatch.setattr(StagedFileSink, "refuse_logged", late)
    assert place.reset(force=True).before.topics["orders"].offsets == {0: 30, 1: 30}


@pytest.mark.parametrize("step", ["take", "reset"])
def test_two_resets_are_never_mixed(place: Place, step: str) -> None:
    """One that another overtakes leaves with 75 and its offsets are nowhere, whichever step it was at."""

    def overtake(name: str) -> None:
        if name == f"{step}.before":
            failpoints.arm(None)
            place.reset(7, force=True)

    failpoints.arm(overtake)
    with pytest.raises(FencedError) as caught:
        place.reset(5)
    assert "show_offsets.py orders.cfg" in caught.value.remedy
    assert (place.state.generation, place.state.topics["orders"].offsets) == (1, {0: 7, 1: 20})


POINTS = ("take.sent", "redo.manifest", "publish.each", "commit.sent", "reset.before", "reset.sent")  # all: tests/crash


def test_a_crash_leaves_the_old_generation_or_the_new_one(tmp_path: Path) -> None:
    """Wherever it dies, offsets and generation belong together, and the next reset is done."""
    for number, point in enumerate(POINTS):
        place = Place(tmp_path / str(number))
        place.prepare()
        assert dies_at(place, point), point
        state, begun = place.state, point == "reset.sent"
        offsets = {0: 5, 1: 30} if begun else {0: 20, 1: 20} if state.pending else {0: 30, 1: 30}
        assert (state.generation, state.topics["orders"].offsets) == (int(begun), offsets), point
        after = place.reset(6).state
        assert (after.generation, after.topics["orders"].offsets) == (begun + 1, {0: 6, 1: 30}), point
        assert len(place.files()) == 12, point


def dies_at(place: Place, point: str) -> bool:
    """Whether the reset passes there."""

    def kill(name: str) -> None:
        if name == point:
            raise Killed

    failpoints.arm(kill)
    try:
        place.reset(5)
    except Killed:
        return True
    finally:
        failpoints.arm(None)
    return False


def test_the_next_launch_writes_the_trace_that_a_crash_left_out(place: Place) -> None:
    """Else a register that is rebuilt before its first batch would go back before the reset."""
    assert dies_at(place, "reset.after")
    before = place.lake.sink.newest_batch()
    assert before
    assert before.manifest.generation == 0
    place.lake.launch()
    trace_again(place.lake.manager, place.lake.sink)
    after = place.lake.sink.newest_batch()
    assert after
    assert (after.manifest.generation, after.manifest.topics) == (1, place.state.topics)


def test_a_launch_behind_a_crash_writes_it(world: World) -> None:
    """Before its first batch; the launch lands what the reset has chosen."""
    world.run()
    places = of_job(world.config)
    zero = Reset({"t": TopicState("id", {0: 0})})
    with killed_at("reset.after"):
        execute(places, lambda _: zero, "")
    trace = world.lake / "_batches" / "1.reset.json"
    assert not trace.exists()
    world.run()
    assert decode_manifest(trace.read_bytes()).topics == zero.topics
    assert world.published() == sorted(2 * [str(n) for n in range(10)])
    assert not verify(open_store(places.store), open_filesystem(world.config.sink_path)).findings


def test_a_skip_is_written_down_before_the_reset_forgets_it(place: Place) -> None:
    """The register names it until the first batch only."""
    loss = LostRange("EXPIRED", "orders", 0, 20, 25)
    with killed_at("skip.after"):
        LossKeeper(place.lake.manager, place.lake.sink).skip(
            Plan((), {"orders": TopicState(TOPIC_ID, {0: 25, 1: 20})}, losses=(loss,))
        )
    with pytest.raises(RegisterError, match="may not be written down"):
        place.reset(sink=False)
    place.reset()
    kept = last_losses(place.lake.filesystem)
    assert kept
    assert kept.losses == (loss,)


def test_without_a_sink_only_offsets_move(place: Place) -> None:
    """The register is all that is known: the files that stand twice are not."""
    done = place.reset(sink=False)
    assert place.state.topics["orders"].offsets == {0: 5, 1: 20}
    assert (done.doubled.complete, len(done.notes)) == (False, 1)
    assert place.reset(20, sink=False).notes == ()


def test_what_the_sink_says_afterwards_fails_no_reset(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands; that the files are not known is a note."""

    def refuse(*_: object) -> Doubled:
        raise StreamError("no rights")

    monkeypatch.setattr("streaming.resetting.doubled.find_doubled", refuse)
    assert place.reset().notes == ("which published files stand twice is not known: no rights",)


def test_rewound_is_what_is_read_again() -> None:
    """Forward, unmoved, vanished and new partitions are not; nor is a topic with another id."""
    old = {"t": TopicState("i", {0: 9, 1: 9, 2: 9, 3: 9}), "u": TopicState("j", {0: 9})}
    new = {"t": TopicState("i", {0: 4, 1: 9, 2: 12, 4: 0}), "u": TopicState("k", {0: 0}), "v": TopicState("l", {0: 0})}
    assert rewound(old, new) == [OffsetRange("t", 0, 4, 9)]


def test_doubled_files_are_counted_as_far_as_the_log_goes(place: Place) -> None:
    """Ranges that only touch are others; a log that is too long to read, or pruned, is told."""
    files = place.lake.filesystem
    assert find_doubled(files, [OffsetRange("orders", 1, 10, 20)]).count == 2
    assert find_doubled(files, [OffsetRange("orders", 1, 9, 11)]).count == 4
    assert not find_doubled(files, [OffsetRange("orders", 1, 0, 20)], entries=1).complete
    files.delete("_batches/0/0000000000.json")
    assert not find_doubled(files, [OffsetRange("orders", 1, 0, 20)]).complete
    place.lake.run(NAMED // 2)
    many = find_doubled(files, [OffsetRange("orders", 0, 0, 1000), OffsetRange("orders", 1, 0, 1000)])
    assert (len(many.files), many.count) == (NAMED, 4 * (1 + NAMED // 2))


def test_the_batch_log_is_read_one_batch_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand batches of ten thousand files each are more than a driver can hold."""
    read, held = doubled.newest_entries, list[weakref.ref[Manifest]]()

    def entries(filesystem: Filesystem) -> Iterator[Manifest]:
        for manifest in read(filesystem):
            held.append(weakref.ref(manifest))
            yield manifest
            assert sum(each() is not None for each in held) < 4

    place.lake.run(5)
    monkeypatch.setattr(doubled, "newest_entries", entries)
    assert find_doubled(place.lake.filesystem, [OffsetRange("orders", 1, 0, 1000)]).count == len(held) * 2 == 14


def test_a_reason_is_one_line_of_text(place: Place) -> None:
    """Arguments may be no text at all; every script has to show it."""
    assert place.reset(reason="caf\udce9 \n  closed").state.reason.endswith(": caf? closed")


def test_a_staging_that_a_faster_run_has_published_is_no_loss(place: Place) -> None:
    """Looked at without the lock: its manifest goes once the run has committed."""
    place.prepare("publish.before")
    place.finish_meanwhile()
    assert place.reset(force=True).before.topics["orders"].offsets == {0: 30, 1: 30}


def test_lost_staging_says_how_to_go_on(place: Place) -> None:
    """As a launch does."""
    lose_staging(place)
    with pytest.raises(StagingLostError) as caught:
        place.reset()
    assert "restore" in caught.value.remedy
