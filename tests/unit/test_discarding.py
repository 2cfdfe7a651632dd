"""Giving up a batch that is pending and that nobody can finish: refused, or one new generation that owns up to it."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from offsets import failpoints
from offsets.codec import decode_manifest as decode
from offsets.errors import DestinationExistsError, RegisterError, StagedDamagedError, StagingLostError
from offsets.filesystems import open_filesystem
from offsets.history import of_log
from offsets.manager import OffsetManager, current_owner
from offsets.reset import Reset
from offsets.stores import open_store
from offsets.structs import GIVEN_UP, LossRecord, LostRange, OffsetRange, State
from streaming.resetting.executing import execute
from streaming.resetting.output import Report, as_json, print_table
from streaming.resetting.preview import preview_discarding
from streaming.resetting.values import Done, GivenUp
from streaming.run.anew import trace_again
from streaming.run.batch import manifest_of
from streaming.run.skipping import LossKeeper
from streaming.sinks.losses import read_losses
from streaming.tasks.result import TaskResult
from streaming.verification.findings import Hole, Verdict
from streaming.verification.verify import verify
from tests.contract.lakes import killed_at
from tests.unit.test_executing_resets import PREPARED, Place, intend, place, put_back, to

__all__ = ["place"]

RANGES = (OffsetRange("orders", 0, 20, 30), OffsetRange("orders", 1, 20, 30))
LOST = tuple(LostRange(GIVEN_UP, *r) for r in RANGES)
HOLES = tuple(Hole(1, *loss) for loss in LOST)
COMMAND = "reset_offsets.py orders.cfg --all-topics --to-current --discard-pending"


def stay(state: State) -> Reset:
    assert state.pending is None
    return Reset(state.topics)


def discard(place: Place, choose: Callable[[State], Reset] = stay, force: bool = False) -> Done:
    return execute(place.places, choose, "the disk is gone", force, discard=True)


def root(place: Place) -> Path:
    return Path(place.lake.sink.url.removeprefix("file://"))


def wipe(place: Place) -> None:
    """Somebody has tidied up below _staging."""
    for path in root(place).glob("_staging/*/*/*"):
        path.unlink()


def lost(place: Place) -> None:
    place.prepare("publish.before")
    wipe(place)


def lost_in_part(place: Place) -> None:
    """One file of four was published."""
    place.prepare(PREPARED)
    wipe(place)


def lost_without_entry(place: Place) -> None:
    """The same, and the batch log does not know of it."""
    lost_in_part(place)
    place.lake.filesystem.delete("_batches/0/0000000002.json")


def damaged(place: Place) -> None:
    place.prepare("publish.before")
    staged = (path for path in root(place).glob("_staging/*/2/*") if path.name != "manifest.json")
    next(staged).write_bytes(b"")


def in_the_way(place: Place) -> None:
    """A file that is not ours has the first file's final name."""
    place.prepare("publish.before")
    pending = place.state.pending
    assert pending
    assert pending.manifest
    final = root(place) / place.lake.sink.read_manifest(pending.manifest).files[0].final
    final.parent.mkdir(parents=True, exist_ok=True)
    final.write_text("a stranger")


CASES: dict[str, tuple[Callable[[Place], None], str, int]] = {
    "staging lost": (lost, "are gone from", 0),
    "staging lost, published in part": (lost_in_part, "are gone from", 1),
    "the same without its entry": (lost_without_entry, "are gone from", 1),
    "a staged file damaged": (damaged, "has 0 bytes", 0),
    "a name taken": (in_the_way, "is not of this batch", 0),
    "a direct sink's": (intend, "only the sink knows", 0),
}


def looked(place: Place) -> Verdict:
    with closing(open_store(place.url)) as store:
        return verify(store, open_filesystem(place.places.sink or ""))


def launch(place: Place) -> None:
    """As a run does before its first batch."""
    place.lake.launch()
    LossKeeper(place.lake.manager, place.lake.sink).write_down()
    trace_again(place.lake.manager, place.lake.sink)
    state = place.lake.manager.state
    place.lake.sink.refuse_logged(state.generation, state.seq)


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_finished_is_given_up(place: Place, case: str) -> None:
    """One generation further, the number used up; verification knows why, and the next batches go on from there."""
    spoil, why, count = CASES[case]
    files = place.files()
    spoil(place)
    before, strangers = place.state, place.files() - files
    done = discard(place)
    state = place.state
    assert (state.generation, state.seq, state.epoch, state.pending) == (1, 3, before.epoch + 1, None)
    assert (state.topics, state.before, state.losses) == (before.topics, before.topics, LOST)
    assert state.reason.endswith("the disk is gone; batch 2 given up: orders-0[20,30), orders-1[20,30)")
    assert done.given_up
    assert why in done.given_up.why
    assert (done.given_up.ranges, len(done.given_up.visible)) == (RANGES, count)
    assert set(done.given_up.visible) <= strangers
    for _ in range(2):
        verdict = looked(place)
        assert {(f.kind, f.where) for f in verdict.findings} == {("foreign", name) for name in strangers}
        assert verdict.holes == HOLES
        assert all("was given up" in f.told for f in verdict.findings)
        launch(place)
        place.lake.run(1)
    assert place.state.topics["orders"].offsets == {0: 40, 1: 40}
    assert list(root(place).glob("_staging/*/2")) == [], "its staging is collected"
    for name in strangers:
        place.lake.filesystem.delete(name)
    assert not looked(place).findings


def test_the_register_that_is_lost_then_does_not_bring_it_back(place: Place) -> None:
    """Also where its entry is in the batch log, and its staging is still there."""
    in_the_way(place)
    with killed_at("publish.each"):
        place.lake.launch()
    discard(place)
    newest = place.lake.sink.newest_batch()
    assert newest
    assert (newest.manifest.generation, newest.manifest.seq, newest.staged) == (1, 2, None)
    assert newest.manifest.topics == place.state.topics
    assert read_losses(place.lake.filesystem, 1).losses == LOST


def test_the_very_first_batch_is_given_up(place: Place) -> None:
    """And one right behind it; nothing was ever committed then."""
    place.lake.filesystem.delete("_batches/0/0000000000.json")
    for path in [*root(place).glob("*/**/*.txt"), *Path(place.url.removeprefix("file://")).glob("state/*")]:
        path.unlink()
    for path in root(place).rglob("*.json"):
        path.unlink()
    place.lake.launch()
    intend(place)
    discard(place)
    assert not looked(place).findings
    launch(place)
    place.lake.run(1)
    verdict = looked(place)
    assert (verdict.findings, verdict.seq, verdict.oldest) == ((), 2, 0)


def log_direct(place: Place) -> None:
    """All of it is written, and logged."""
    batch = place.lake.planned()
    intend(place)
    results = [TaskResult(r, (), 10, 0, 0, written=10) for r in batch.plan.ranges]
    place.lake.sink.log_written(manifest_of(place.state.app, batch, tuple(results)))


def consumed(place: Place) -> None:
    """One file was published and taken away: its source is gone, the manifest is there."""
    before = place.files()
    place.prepare(PREPARED)
    (published,) = place.files() - before
    place.lake.filesystem.delete(published)


def another_batch(place: Place) -> None:
    """Its number is in the log, for other ranges."""
    intend(place)
    entry = root(place) / "_batches/0/0000000001.json"
    (root(place) / "_batches/0/0000000002.json").write_bytes(entry.read_bytes())


def another_staged(place: Place) -> None:
    lost(place)
    entry = root(place) / "_batches/0/0000000001.json"
    (root(place) / "_batches/0/0000000002.json").write_bytes(entry.read_bytes())


def rewound(place: Place) -> None:
    put_back(place)


REFUSED: dict[str, tuple[Callable[[Place], None], str]] = {
    "nothing pending": (lambda place: None, "no batch is pending"),
    "it can be published": (lambda place: place.prepare("publish.before"), "its files can be published"),
    "the rest of it can be published": (Place.prepare, "its files can be published"),
    "a consumer was quick": (consumed, "its files can be published"),
    "a direct sink's, all written": (log_direct, "all of it is written"),
    "a direct sink's, by another register": (another_batch, "is of another batch"),
    "staged, by another register": (another_staged, "is of another batch"),
    "a register of long ago": (rewound, "the register has yet to write it"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("force", [False, True])
def test_what_could_be_finished_is_not_given_up(place: Place, case: str, force: bool) -> None:
    """Register and sink are as they were, the epoch too; a dry run refuses what it can see, with the same words."""
    spoil, told = REFUSED[case]
    spoil(place)
    before, files = place.state, place.files()
    with pytest.raises(RegisterError, match=told) as caught:
        discard(place, force=force)
    assert (caught.value.exit_status, bool(caught.value.remedy)) == (3, True)
    assert (place.state, place.files()) == (before, files)
    if case != "a register of long ago":
        with pytest.raises(RegisterError, match=told):
            preview_discarding(place.places, stay)


def test_without_a_sink_nothing_is_given_up(place: Place) -> None:
    """Which of its files are visible could not be told."""
    lost(place)
    before = place.state
    with pytest.raises(RegisterError, match="no sink is named") as caught:
        execute(place.places.__class__("x", "x", place.url, None, {}), stay, "", discard=True)
    assert "--sink" in caught.value.remedy
    assert place.state == before


@pytest.mark.parametrize("case", CASES)
def test_without_the_option_it_is_refused_and_the_way_out_comes_last(place: Place, case: str) -> None:
    """Restoring is better."""
    CASES[case][0](place)
    with pytest.raises(RegisterError) as caught:
        place.reset()
    better, _, command = caught.value.remedy.partition(COMMAND)
    assert any(word in better for word in ("restore", "move it away", "launch once"))
    assert "is lost by giving it up" in command
    assert (place.state.generation, place.state.seq) == (0, 2)
    kinds = {"damaged": StagedDamagedError, "a name": DestinationExistsError, "staging": StagingLostError}
    assert next((isinstance(caught.value, kind) for name, kind in kinds.items() if name in case[:9]), True)


def test_a_dry_run_shows_what_would_be_given_up(place: Place) -> None:
    """Ranges and visible files; nothing is written."""
    lost_in_part(place)
    before = place.state
    state, chosen, given_up, notes = preview_discarding(place.places, to(5))
    assert (place.state, state.seq, notes) == (before, 3, ())
    report = Report("orders", place.url, state, chosen.moves, "the command", notes=notes, given_up=given_up)
    print_table(report, told := io.StringIO())
    text = told.getvalue()
    assert "given up:      batch 2, by --execute: exactly-once ends for it" in text
    assert all(
        str(word) in text for word in (*RANGES, *given_up.visible, "1 of its files", "foreign", "known hole", "sleeps")
    )
    told_json = as_json(report)["givenUp"]
    assert (told_json["batch"], told_json["visible"]) == (2, list(given_up.visible))
    assert told_json["ranges"][1] == {"topic": "orders", "partition": 1, "fromOffset": 20, "untilOffset": 30}


def test_what_a_direct_sink_holds_is_not_known() -> None:
    """And said so."""
    batch = GivenUp(7, RANGES, "its sink is gone", direct=True)
    report = Report("orders", "file:///o", None, (), given_up=batch)  # type: ignore[arg-type]
    print_table(report, told := io.StringIO())
    assert "the sink may hold rows of these ranges" in told.getvalue()
    given_up = as_json(report.__class__("o", "f", PLAIN, (), given_up=batch))["givenUp"]
    assert given_up["visible"] is None


PLAIN = State("a" * 32, 0, 1, None, "n", 0, {})  # type: ignore[arg-type]
POINTS = ("read.after", "take.before", "take.sent", "take.after", "reset.before", "reset.sent", "reset.after")


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_gives_it_up_or_leaves_it(place: Place, point: str) -> None:
    """Before or after, nothing between; then the same command does it, or says that it is done, and verify is told."""
    lost(place)
    before = place.state

    def kill(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    failpoints.arm(kill)
    with pytest.raises(KeyboardInterrupt):
        discard(place)
    failpoints.arm(None)
    state = place.state
    if point in ("reset.sent", "reset.after"):
        assert (state.generation, state.seq, state.pending, state.losses) == (1, 3, None, LOST)
        with pytest.raises(RegisterError, match="no batch is pending"):
            discard(place)
    else:
        assert (state.generation, state.seq, state.pending) == (0, 2, before.pending)
        discard(place)
    assert looked(place).findings == ()
    assert looked(place).holes == HOLES
    launch(place)
    place.lake.run(1)
    assert (looked(place).findings, looked(place).holes, place.state.seq) == ((), HOLES, 4)


def test_a_run_that_finishes_it_meanwhile_wins(place: Place) -> None:
    """Looked at beside it: nothing is pending any more, and nothing is given up."""
    place.prepare("publish.before")
    place.finish_meanwhile()
    with pytest.raises(RegisterError, match="no batch is pending"):
        discard(place, force=True)
    assert (place.state.generation, place.state.topics["orders"].offsets) == (0, {0: 30, 1: 30})


def test_what_a_run_commits_meanwhile_is_looked_at_before_the_take(place: Place) -> None:
    """Nothing is written for a batch that is over."""
    lost(place)

    def choose(state: State) -> Reset:
        other = OffsetManager(place.lake.store, current_owner("other"))
        other.read()
        other.take()
        other.discard(state.topics, "quicker")
        seen.append(place.state)
        return stay(state)

    seen: list[State] = []
    with pytest.raises(RegisterError, match="no batch is pending"):
        discard(place, choose, force=True)
    assert [place.state] == seen


def test_partitions_that_were_not_in_the_batch_may_move_too(place: Place) -> None:
    """What a person has chosen is no gap; nor does the next launch tell of a data loss, of which that person knows."""
    planned = place.lake.planned().plan
    place.lake.manager.prepare(planned.topics, planned.ranges[:1], None)
    with killed_at("reset.after"):
        discard(place, to(35, partition=1))
    place.lake.launch()
    keeper = LossKeeper(place.lake.manager, place.lake.sink)
    keeper.write_down()
    trace_again(place.lake.manager, place.lake.sink)
    place.lake.run(1)
    assert (looked(place).findings, looked(place).holes, keeper.records) == ((), HOLES[:1], [])


def test_an_undo_goes_back_to_before_the_batch(place: Place) -> None:
    """It does not bring the batch back; who has begun further back begins there again."""
    lost(place)
    discard(place, to(5))
    undone = execute(place.places, lambda state: Reset(state.before or {}), "undo")
    assert undone.state.topics["orders"].offsets == {0: 20, 1: 20}
    assert (undone.state.generation, undone.state.seq, undone.state.losses) == (2, 3, ())
    assert read_losses(place.lake.filesystem, 1).losses == LOST
    assert not looked(place).findings


def test_a_history_tells_a_reset_and_a_batch_that_never_was_committed(place: Place) -> None:
    """From the batch log alone, too."""
    lost_in_part(place)
    discard(place)
    log = [place.lake.filesystem.read(f"_batches/0/{n:010d}.json") for n in range(3)]
    trace = place.lake.filesystem.read("_batches/1.reset.json")
    manifests = [decode(data) for data in (*log, trace)]
    events = of_log(manifests, [LossRecord(place.state.app, 1, LOST)], place.state)
    assert [(e.kind, e.seq) for e in events] == [("commit", 0), ("commit", 1), ("prepare", 2), ("reset", 3)]
