"""What verify_output.py finds, decided on values: logs without and with a fault, listings, and registers in motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.filesystems.base import FileStatus
from offsets.structs import Manifest, ManifestRef, OffsetRange, Owner, Pending, StagedFile, State, TopicState
from streaming.sinks.names import FinalName, StagingPlace, final_name, parse_final_name
from streaming.verification.files import Comparison, Stranger, foreign
from streaming.verification.registers import check_log, check_marker, check_offsets, check_pending, left_over
from streaming.verification.tiling import Generation, Tiling, offsets_of

OWNER = Owner("h", 1, "now", "r")


def manifest(seq: int, ranges: Sequence[OffsetRange], generation: int = 0, epoch: int = 1) -> Manifest:
    place = StagingPlace(generation, epoch, seq)
    files = tuple(
        StagedFile(f"_staging/{epoch}/{seq}/{r.partition}", final_name(r, place, 0, "txt"), 5, 1, 1) for r in ranges
    )
    topics = {"t": TopicState("i", {r.partition: r.until_offset for r in ranges})}
    return Manifest("a", generation, epoch, seq, tuple(ranges), topics, files, len(ranges), 0)


@st.composite
def logs(draw: st.DrawFn) -> list[Manifest]:
    """A log as the committer writes it: each batch reads on where the one before has ended."""
    at, made = {p: draw(st.integers(0, 50)) for p in range(3)}, []
    for seq in range(draw(st.integers(3, 8))):
        steps = {0: draw(st.integers(1, 9)), **draw(st.dictionaries(st.integers(1, 2), st.integers(1, 9)))}
        ranges = [OffsetRange("t", p, at[p], at[p] + n) for p, n in sorted(steps.items())]
        at.update({r.partition: r.until_offset for r in ranges})
        made.append(manifest(seq, ranges))
    return made


def folded(entries: Sequence[Manifest]) -> Tiling:
    tiling = Tiling("a")
    for entry in entries:
        tiling.add(entry.generation, entry.seq, entry)
    return tiling


@given(logs())
def test_a_log_in_order_has_no_findings(log: list[Manifest]) -> None:
    """And its spans begin and end where the batches do."""
    tiling = folded(log)
    assert tiling.findings == []
    spans = {v.partition: (v.from_offset, v.until_offset) for v in tiling.vouched()}
    for p, span in spans.items():
        mine = [r for entry in log for r in entry.ranges if r.partition == p]
        assert not mine or span == (mine[0].from_offset, mine[-1].until_offset)


@given(logs(), st.data())
def test_a_range_that_was_moved_is_found(log: list[Manifest], data: st.DataObject) -> None:
    """Whatever batch but the first reads other offsets than it should: gap or overlap."""
    seq = data.draw(st.integers(1, len(log) - 1))
    was = log[seq].ranges[0]
    moved = was._replace(from_offset=was.from_offset + data.draw(st.sampled_from([-1, 1, 7])))
    log[seq] = replace(log[seq], ranges=(moved, *log[seq].ranges[1:]))
    assert {f.kind for f in folded(log).findings} & {"gap", "overlap"}


@given(logs(), st.data())
def test_an_entry_that_is_gone_is_found(log: list[Manifest], data: st.DataObject) -> None:
    """In the middle of the log: by its number, and by its records."""
    del log[data.draw(st.integers(1, len(log) - 2))]
    assert {f.kind for f in folded(log).findings} == {"missing-entry", "gap"}


def test_two_batches_of_one_number_are_found() -> None:
    """Two registers served one sink."""
    log = [manifest(0, [OffsetRange("t", 0, 0, 5)]), manifest(0, [OffsetRange("t", 0, 0, 5)], generation=1)]
    assert [f.kind for f in folded(log).findings] == ["missing-entry"]


def test_a_file_that_is_named_twice_or_wrongly_is_found() -> None:
    """Two entries name one file; an entry names a file of other offsets."""
    first = manifest(0, [OffsetRange("t", 0, 0, 5)])
    second = replace(manifest(1, [OffsetRange("t", 0, 5, 9)]), files=first.files)
    assert {f.kind for f in folded([first, second]).findings} == {"named-twice"}
    for wrong in (replace(second, seq=0), replace(first, epoch=9), replace(first, generation=9)):
        assert [f.kind for f in folded([wrong]).findings] == ["misnamed"]


@given(st.text(min_size=1, max_size=249), st.integers(0, 10**4), st.integers(0, 10**12), st.integers(1, 10**6))
def test_a_final_name_says_what_was_put_into_it(topic: str, partition: int, start: int, size: int) -> None:
    """Also topics of any length and alphabet, and the second file of a range."""
    range_ = OffsetRange(topic, partition, start, start + size)
    for part in (0, 3):
        found = parse_final_name(final_name(range_, StagingPlace(2, 7, 1), part, "json.gz"))
        assert found
        assert found[1:] == (partition, start, start + size, 2, 7)


@pytest.mark.parametrize("name", ["part-0.txt", "t+p0+1+2+g0e1.txt", "t+p0+0000000000+0000000005+g0e1", "a/b"])
def test_other_names_are_not_ours(name: str) -> None:
    """Near misses too."""
    assert parse_final_name(name) is None


def test_only_files_before_the_log_are_older() -> None:
    """By generation, then by the oldest offset that the log knows; without a lost beginning nothing is older."""
    oldest = Generation(1, first=offsets_of({"t": TopicState("i", {0: 50})}))
    names = {
        FinalName("t", 0, 40, 50, 1, 3): True,
        FinalName("t", 0, 45, 55, 1, 3): False,
        FinalName("t", 0, 60, 70, 0, 2): True,
        FinalName("t", 0, 10, 20, 2, 3): False,
        FinalName("t", 9, 10, 20, 1, 3): True,
    }
    for name, older in names.items():
        range_ = OffsetRange(name.topic, name.partition, name.from_offset, name.until_offset)
        stranger = Stranger("x", final_name(range_, StagingPlace(name.generation, name.epoch, 0), 0, "txt"), 1)
        assert foreign([stranger], {}, {}, [oldest], True)[1] == older
        assert foreign([stranger], {}, {}, [oldest], False)[1] == 0


def test_what_is_in_flight_need_not_be_there() -> None:
    """Files of the batch that the register has not committed; all others must be there."""
    tiling = folded([manifest(0, [OffsetRange("t", 0, 0, 5)]), manifest(1, [OffsetRange("t", 0, 5, 9)])])
    (first, second) = tiling.folders[""]
    for in_flight, missing in ((1, []), (2, [second])):
        seen = Comparison(tiling.folders, in_flight)
        seen.see("", [FileStatus(first, 5, False)])
        seen.finish(allow_moved=False)
        assert [f.where for f in seen.findings] == missing


def register(seq: int, pending: bool = False, step: str = "commit", epoch: int = 3, generation: int = 0) -> State:
    batch = Pending((), ManifestRef("_staging/3/5/manifest.json", "f" * 64, 1)) if pending else None
    return State("a", generation, epoch, OWNER, "n", seq, {"t": TopicState("i", {0: 9})}, batch, step)


@pytest.mark.parametrize(
    ("before", "after", "newest", "kinds"),
    [
        (register(5), register(5), (0, 4), []),
        (register(5), register(5, pending=True), (0, 5), []),
        (register(5), register(8), (0, 7), []),
        (register(5), register(5), (0, 5), ["register-behind"]),
        (register(5), register(5), (0, 9), ["register-behind"]),
        (register(5), register(5, pending=True), (0, 6), ["register-behind"]),
        (register(5), register(6), (1, 5), ["register-behind"]),
        (register(5), register(5), (0, 3), ["register-ahead"]),
        (register(5), register(5), None, ["register-ahead"]),
        (register(0), register(0), None, []),
    ],
)
def test_a_register_is_level_with_its_log(
    before: State, after: State, newest: tuple[int, int] | None, kinds: list[str]
) -> None:
    """It may move while it is looked at; an entry without its batch, or a batch without its entry, is a finding."""
    tiling = Tiling("a", newest=newest[1] if newest else None)
    assert [f.kind for f in check_log(before, after, tiling, newest)] == kinds


def test_committed_offsets_are_where_the_log_ends() -> None:
    """In the generation of the register; a topic of another generation says nothing."""
    for until, kinds in ((9, []), (8, ["register-ahead"]), (12, ["register-behind"])):
        ended = Generation(0, until=offsets_of({"t": TopicState("i", {0: until})}))
        assert [f.kind for f in check_offsets(register(5), [ended])] == kinds
        assert not list(check_offsets(register(5, generation=1), [ended]))


def test_a_prepared_batch_has_its_own_entry() -> None:
    """Another manifest under its number would be published by nobody."""
    batch = manifest(5, [OffsetRange("t", 0, 0, 5)])
    assert [f.kind for f in check_pending(register(5, pending=True), "e" * 64, batch)] == ["foreign-entry"]
    assert not list(check_pending(register(5, pending=True), "f" * 64, batch))
    assert not list(check_pending(register(5), "e" * 64, batch))


@pytest.mark.parametrize(
    ("before", "held", "left"),
    [
        (register(5), False, {(1, 2), (2, 5), (3, 3)}),
        (register(5, pending=True), False, {(1, 2), (3, 3)}),
        (register(5, step="take"), True, set()),
        (register(5, step="take"), False, {(1, 2), (2, 5), (3, 3)}),
        (register(5, step="rebuild"), False, set()),
    ],
)
def test_staging_that_is_left_over(before: State, held: bool, left: set[tuple[int, int]]) -> None:
    """Not the batch that comes next, is prepared, or has just been committed, nor what a takeover is collecting."""
    assert left_over(before, [(1, 2), (2, 5), (3, 3), (3, 4), (2, 4), (3, 5), (4, 1)], held) == left


def test_marker_register_and_log_go_together() -> None:
    """A first launch that is half made is in order."""
    assert [f.kind for f in check_marker(None, None, True)] == ["register-lost", "marker-lost"]
    assert [f.kind for f in check_marker("b", register(5), True)] == ["mismatch"]
    assert not list(check_marker(None, replace(register(0), epoch=0), False))
    assert not list(check_marker(None, None, False))
