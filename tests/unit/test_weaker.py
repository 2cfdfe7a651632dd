"""What verification permits of batches under weaker guarantees, and that it permits no more.  Logs as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from offsets.filesystems.local import LocalFilesystem
from offsets.planning import Plan
from offsets.stores.base import MemoryStore
from offsets.structs import (
    AT_LEAST_ONCE,
    AT_MOST_ONCE,
    EXACTLY_ONCE,
    LostRange,
    Manifest,
    OffsetRange,
    StagedFile,
    State,
    TopicPartition,
    TopicState,
)
from streaming.run.skipping import LossKeeper
from streaming.sinks.names import FinalName, StagingPlace, final_name
from streaming.verification.files import Comparison
from streaming.verification.findings import Finding, Hole
from streaming.verification.tiling import Tiling
from streaming.verification.verify import verify
from streaming.verification.weaker import is_ahead
from tests.contract.lakes import TOPIC_ID, Lake, killed_at
from tests.unit.test_verification import register


def entry(seq: int, start: int, guarantee: str, epoch: int = 1) -> Manifest:
    """Ten records of one partition."""
    r = OffsetRange("t", 0, start, start + 10)
    file = StagedFile(f"_staging/{epoch}/{seq}/u", final_name(r, StagingPlace(0, epoch, seq), 0, "txt"), 5, 1, 1)
    topics = {"t": TopicState("i", {0: start + 10})}
    return Manifest("a", 0, epoch, seq, (r,), topics, (file,), 10, 0, guarantee=guarantee)


def named(start: int, epoch: int, size: int = 10) -> FinalName:
    return FinalName("t", 0, start, start + size, 0, epoch)


def folded(entries: Sequence[Manifest], end: State | None = None, guarantee: str = EXACTLY_ONCE) -> Tiling:
    tiling = Tiling("a")
    for each in entries:
        tiling.add(each.generation, each.seq, each)
    if end:
        tiling.end(end, guarantee)
    return tiling


def at(seq: int, offset: int, epoch: int) -> State:
    return replace(register(seq, epoch=epoch), topics={"t": TopicState("i", {0: offset})})


@pytest.mark.parametrize("guarantee", [AT_LEAST_ONCE, AT_MOST_ONCE])
@pytest.mark.parametrize("other", [AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE])
def test_a_batch_without_an_entry_is_permitted(guarantee: str, other: str) -> None:
    """One a launch, where the entry before it or behind it is of a weaker guarantee."""
    for first, second in ((guarantee, other), (other, guarantee)):
        tiling = folded([entry(0, 0, first), entry(2, 20, second, epoch=2)])
        assert tiling.findings == []
        assert [(u.numbers, [tuple(s) for s in u.spans]) for u in tiling.weaker.unlogged] == [
            (range(1, 2), [(0, "t", 0, 10, 20)])
        ]


@pytest.mark.parametrize(
    ("guarantee", "seq", "epoch"),
    [
        (EXACTLY_ONCE, 2, 2),
        (AT_LEAST_ONCE, 2, 1),  # no launch has died in between
        (AT_MOST_ONCE, 3, 2),  # one launch has died, and two batches lack
    ],
)
def test_a_batch_without_an_entry_is_found(guarantee: str, seq: int, epoch: int) -> None:
    """Under exactly-once always, else where no crash explains it."""
    tiling = folded([entry(0, 0, guarantee), entry(seq, 10 * seq, guarantee, epoch)])
    assert [f.kind for f in tiling.findings] == ["missing-entry", "gap"]


def test_the_newest_batch_is_judged_by_the_job() -> None:
    """Or by the entry before it; the register then agrees with the log."""
    for before, job in ((EXACTLY_ONCE, AT_MOST_ONCE), (AT_LEAST_ONCE, EXACTLY_ONCE)):
        tiling = folded([entry(0, 0, before)], at(2, 20, epoch=1), job)
        assert (tiling.newest, tiling.generations[0].until) == (1, {TopicPartition("t", 0): 20})
    for end in (at(2, 20, epoch=1), at(3, 30, epoch=1)):
        assert folded([entry(0, 0, EXACTLY_ONCE)], end).newest == 0
    assert folded([entry(0, 0, AT_MOST_ONCE)], at(3, 30, epoch=1), AT_MOST_ONCE).newest == 0


def test_what_lacks_may_be_lost_or_must_be_there() -> None:
    """At-most-once: a hole of exactly that range.  At-least-once: a finding, unless files cover the range."""
    lost = folded([entry(0, 0, AT_MOST_ONCE), entry(2, 20, AT_MOST_ONCE, epoch=2)]).weaker
    assert list(lost.judge([], vouch=True)) == [Hole(0, "UNPUBLISHED", "t", 0, 10, 20)]
    assert list(lost.judge([named(10, 1)], vouch=True)) == []
    kept = folded([entry(0, 0, AT_LEAST_ONCE), entry(2, 20, AT_LEAST_ONCE, epoch=2)]).weaker
    for files in ([], [named(10, 1, size=4)], [named(11, 1, size=9)]):
        assert [f.kind for f in kept.judge(files, vouch=True) if isinstance(f, Finding)] == ["gap"]
        assert list(kept.judge(files, vouch=False)) == []
    assert list(kept.judge([named(10, 1, size=4), named(14, 1, size=6)], vouch=True)) == []


def test_files_of_repeated_batches_are_explained() -> None:
    """Those that begin where a later launch went on, and those of a batch without an entry; no others."""
    weaker = folded([entry(0, 0, AT_LEAST_ONCE), entry(1, 10, AT_LEAST_ONCE, 3), entry(2, 20, AT_LEAST_ONCE, 3)]).weaker
    assert weaker.explains(named(10, epoch=1))
    assert weaker.explains(named(10, epoch=2, size=3))
    assert not weaker.explains(named(10, epoch=3)), "of the launch that went on there"
    assert not weaker.explains(named(20, epoch=1)), "no launch went on there"
    assert not weaker.explains(named(10, epoch=1)._replace(generation=1))
    exactly = folded([entry(0, 0, EXACTLY_ONCE), entry(1, 10, EXACTLY_ONCE, 3)]).weaker
    assert not exactly.explains(named(10, epoch=1))
    skipped = folded([entry(0, 0, AT_LEAST_ONCE), entry(2, 20, AT_LEAST_ONCE, 2)]).weaker
    assert [skipped.explains(named(start, 1)) for start in (5, 10, 19, 20)] == [False, True, True, True]


def test_files_ahead_of_the_register() -> None:
    """At-least-once publishes before it commits: from where the register stood to where it stands now."""
    before, after = {TopicPartition("t", 0): 10}, {TopicPartition("t", 0): 20}
    assert [is_ahead(named(start, 1), 0, before, after) for start in (9, 10, 20, 21)] == [False, True, True, False]
    assert not is_ahead(named(10, 1)._replace(partition=1), 0, before, after)
    assert not is_ahead(named(10, 1), 1, before, after)


def test_only_the_last_batch_of_a_launch_can_be_lost() -> None:
    """A launch goes on only when a batch is published: whatever is missing of an earlier one is a finding."""
    log = [entry(0, 0, AT_MOST_ONCE), entry(1, 10, AT_MOST_ONCE), entry(2, 20, AT_MOST_ONCE, epoch=2)]
    tiling = folded(log)
    seen = Comparison(tiling.folders, 3, tiling.weaker.unpublished)
    seen.finish(allow_moved=False)
    assert [(f.kind, f.where) for f in seen.findings] == [("missing", log[0].files[0].final)]
    assert seen.lost == {log[1].ranges[0]: 0, log[2].ranges[0]: 0}


def test_an_entry_that_comes_late_is_one() -> None:
    """A live run has logged the batch while the files were looked at."""
    weaker = folded([entry(0, 0, AT_LEAST_ONCE)], at(2, 20, epoch=1), AT_LEAST_ONCE).weaker
    assert len(weaker.unlogged) == 1
    weaker.forget_logged([0, 1])
    assert weaker.unlogged == []


@pytest.mark.parametrize("begun", [0, 1])
def test_the_first_batch_of_a_generation_is_lost(tmp_path: Path, begun: int) -> None:
    """At-most-once, right behind a reset: where the generation began is known, and so is what is lost."""
    lake = Lake(MemoryStore(), LocalFilesystem(str(tmp_path)), guarantee=AT_MOST_ONCE)
    lake.run(2)
    if begun:
        lake.reset(50)
    with killed_at("stage.before"):
        lake.run(1)
    at_crash = verify(lake.store, lake.filesystem, guarantee=AT_MOST_ONCE)
    lake.launch()
    lake.run(1)
    afterwards = verify(lake.store, lake.filesystem)
    first = 50 if begun else 20
    assert afterwards.holes == tuple(Hole(begun, "UNPUBLISHED", "orders", p, first, first + 10) for p in (0, 1))
    assert at_crash.holes == (() if begun else afterwards.holes), "its entry's generation is not in the log yet"
    assert (at_crash.counts.unlogged, afterwards.counts.unlogged) == (1, 1)
    assert at_crash.findings == afterwards.findings == ()


def test_moved_files_are_not_taken_for_lost(tmp_path: Path) -> None:
    """Where consumers move files away, a file that is not there says nothing."""
    lake = Lake(MemoryStore(), LocalFilesystem(str(tmp_path)), guarantee=AT_MOST_ONCE)
    lake.run(1)
    for file in tmp_path.glob("a/*"):
        file.unlink()
    assert [hole.partition for hole in verify(lake.store, lake.filesystem).holes] == [0, 1]
    assert verify(lake.store, lake.filesystem, allow_moved=True).holes == ()


def moved_on(lake: Lake, by: str) -> None:
    """A new generation: a person's, or behind three records of partition 0 that are lost."""
    if by == "reset":
        lake.reset(500)
        return
    offsets = dict(lake.manager.state.topics["orders"].offsets)
    loss = LostRange("EXPIRED", "orders", 0, offsets[0], offsets[0] + 3)
    topics = {"orders": TopicState(TOPIC_ID, offsets | {0: loss.until_offset})}
    LossKeeper(lake.manager, lake.sink).skip(Plan((), topics, losses=(loss,)))


def crashed(folder: Path, guarantee: str, point: str, by: str, before: int = 1, after: int = 1) -> Lake:
    """One that died in a batch, whose next launch began a new generation."""
    lake = Lake(MemoryStore(), LocalFilesystem(str(folder)), guarantee=guarantee)
    lake.run(before)
    with killed_at(point):
        lake.run(1)
    lake.launch()
    moved_on(lake, by)
    lake.run(after)
    return lake


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("by", ["skip", "reset"])
@pytest.mark.parametrize("point", ["publish.after", "commit.after"])
def test_a_generation_that_ended_in_a_crash(tmp_path: Path, point: str, by: str, before: int, after: int) -> None:
    """At-least-once: what the batch in flight had published is nobody's any more, and no finding."""
    lake = crashed(tmp_path, AT_LEAST_ONCE, point, by, before, after)
    verdict = verify(lake.store, lake.filesystem, guarantee=AT_LEAST_ONCE)
    assert (verdict.findings, verdict.counts.repeated + verdict.counts.older) == ((), 4)


def test_what_was_lost_before_a_skip_is_a_hole(tmp_path: Path) -> None:
    """At-most-once: the batch in flight at the crash is told apart from what Kafka lost behind it."""
    lake = crashed(tmp_path, AT_MOST_ONCE, "stage.before", "skip")
    verdict = verify(lake.store, lake.filesystem)
    assert verdict.findings == ()
    assert verdict.holes == (
        Hole(1, "EXPIRED", "orders", 0, 20, 23),
        Hole(0, "UNPUBLISHED", "orders", 0, 10, 20),
        Hole(0, "UNPUBLISHED", "orders", 1, 10, 20),
    )


def test_no_more_is_permitted_behind_a_generation(tmp_path: Path) -> None:
    """A batch that was committed must be there; what the log covers stays covered; exactly-once leaves nothing over."""
    lake = crashed(tmp_path / "least", AT_LEAST_ONCE, "commit.after", "skip")
    next((tmp_path / "least" / "a").glob("*p1+0000000010+*")).unlink()
    next((tmp_path / "least" / "b" / "dt=1").glob("*p1+0000000010+*")).unlink()
    stray = next((tmp_path / "least" / "a").glob("*p0+0000000000+*"))
    stray.with_name(stray.name.replace("p0+0000000000", "p0+0000000005")).write_bytes(b"stray")
    assert [f.kind for f in verify(lake.store, lake.filesystem).findings] == ["gap", "foreign"]
    lake = crashed(tmp_path / "exactly", EXACTLY_ONCE, "manifest.after", "skip")
    stray = next((tmp_path / "exactly" / "a").glob("*p1+0000000000+*"))
    stray.with_name(stray.name.replace("0000000000+0000000010", "0000000010+0000000020")).write_bytes(b"stray")
    assert [f.kind for f in verify(lake.store, lake.filesystem).findings] == ["foreign"]
