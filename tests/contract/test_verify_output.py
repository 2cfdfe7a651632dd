"""verify_output.py on local disks and a real HDFS: a planted fault exits 4 and is named, a sink in order exits 0."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from offsets import codec, failpoints
from offsets.codec import decode_manifest, decode_state, encode_manifest
from offsets.filesystems import open_filesystem
from offsets.stores import open_store
from offsets.structs import Manifest, State
from streaming.commands.verify_output import main
from streaming.sinks.names import batch_entry
from streaming.sinks.retention import BatchLogRetention
from streaming.verification import reading
from streaming.verification.verify import verify
from tests.contract.file_places import APP, place_of, put, tree, visible
from tests.contract.lakes import Lake, killed_at

PLACES = ("local", "webhdfs")
FIRST = "orders+p0+0000000000+0000000010+g0e1.txt"


class Checked(Lake):
    """A lake with its register on the local disk, and what the script says of it."""

    urls: tuple[str, str]

    def verify(self, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
        """Exit status and the JSON object; nothing was changed."""
        before = tree(self.filesystem), self.store.load()
        status = main("", ["--store", self.urls[0], "--sink", self.urls[1], "--format", "json", *options])
        assert (tree(self.filesystem), self.store.load()) == before
        return status, json.loads(capsys.readouterr().out)

    def store_state(self) -> State:
        found = self.store.load()
        assert found
        return decode_state(found.state)

    def entry(self, seq: int, generation: int = 0) -> Manifest:
        return decode_manifest(self.filesystem.read(batch_entry(generation, seq)))

    def rewrite(self, seq: int, manifest: Manifest | None, data: bytes = b"") -> None:
        """Another entry in place of one of the log."""
        self.filesystem.delete(batch_entry(0, seq))
        put(self.filesystem, batch_entry(0, seq), encode_manifest(manifest) if manifest else data)

    def replace(self, path: str, data: bytes) -> None:
        self.filesystem.delete(path)
        put(self.filesystem, path, data)


@pytest.fixture(params=PLACES)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    filesystem = place_of(request, tmp_path)
    store_url = f"file://{tmp_path}/offsets"
    with closing(open_store(store_url)) as store:
        made = Checked(store, filesystem)
        user = f"?user={request.getfixturevalue('hdfs').user}" if request.param == "webhdfs" else ""
        made.urls = (store_url, filesystem.url + user)
        yield made
    failpoints.arm(None)


def test_a_sink_in_order(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, with the offsets that are vouched for and the counts; hidden files of others do not matter."""
    lake.run(3)
    put(lake.filesystem, "_SUCCESS", b"")
    put(lake.filesystem, "a/.hidden/x", b"")
    put(lake.filesystem, "_runs/x.json", b"")
    status, said = lake.verify(capsys, "--checksums")
    assert (status, said["findings"]) == (0, [])
    spans = [(v["generation"], v["partition"], v["from_offset"], v["until_offset"]) for v in said["vouched"]]
    assert spans == [(0, 0, 0, 30), (0, 1, 0, 30)]
    counts = said["counts"]
    size = sum(map(len, visible(lake.filesystem).values()))
    assert (counts["batches"], counts["files"], counts["rows"], counts["records"]) == (3, 12, 12, 60)
    assert (counts["bytes"], counts["checked"], said["oldest"], said["seq"]) == (size, 12, 0, 3)


def gap(lake: Checked) -> None:
    """A batch lost from the log, with its files."""
    for file in lake.entry(1).files:
        lake.filesystem.delete(file.final)
    lake.filesystem.delete(batch_entry(0, 1))


def overlap(lake: Checked) -> None:
    """Batch 1 has read from the beginning of batch 0 on."""
    was = lake.entry(1)
    lake.rewrite(1, Manifest(**{**vars(was), "ranges": tuple(r._replace(from_offset=5) for r in was.ranges)}))


def truncated(lake: Checked) -> None:
    lake.replace(f"a/{FIRST}", b"x")


def too_long(lake: Checked) -> None:
    lake.replace(f"a/{FIRST}", b"x" * 1000)


def changed(lake: Checked) -> None:
    lake.replace(f"a/{FIRST}", lake.filesystem.read(f"a/{FIRST}").swapcase())


def foreign(lake: Checked) -> None:
    put(lake.filesystem, "a/part-00000.txt", b"x")


def other_generation(lake: Checked) -> None:
    put(lake.filesystem, "a/orders+p0+0000000000+0000000010+g7e1.txt", b"x")


def quarantined(lake: Checked) -> None:
    put(lake.filesystem, "_quarantine/orders/mine.json", b"x")


def missing(lake: Checked) -> None:
    lake.filesystem.delete(f"b/dt=1/{FIRST}")


def doubled(lake: Checked) -> None:
    put(lake.filesystem, f"c/{FIRST}", lake.filesystem.read(f"a/{FIRST}"))


def left_over(lake: Checked) -> None:
    put(lake.filesystem, "_staging/1/0/0123456789abcdef", b"x")


def damaged(lake: Checked) -> None:
    lake.rewrite(1, None, b'{"format":1')


def of_another(lake: Checked) -> None:
    was = lake.entry(1)
    lake.rewrite(1, Manifest(**{**vars(was), "app": "f" * 32}))


def misplaced(lake: Checked) -> None:
    lake.rewrite(1, lake.entry(2))


def behind(lake: Checked) -> None:
    """A register that was put back from a copy."""
    known = lake.store.load()
    lake.run(1)
    lake.store.replace(lake.store.load(), known.state if known else b"")


def mismatched(lake: Checked) -> None:
    lake.replace("_application.json", codec.encode_marker("f" * 32))


def ahead(lake: Checked) -> None:
    lake.filesystem.delete(batch_entry(0, 2))


FAULTS = {
    gap: ("gap", "orders-0", "[10,20)"),
    overlap: ("overlap", "orders-0", "[5,10)"),
    truncated: ("truncated", f"a/{FIRST}", "has 1 bytes"),
    too_long: ("too-long", f"a/{FIRST}", "has 1000 bytes"),
    changed: ("changed", f"a/{FIRST}", "CRC-32"),
    foreign: ("foreign", "a/part-00000.txt", "no entry"),
    other_generation: ("foreign", "a/orders+p0+0000000000+0000000010+g7e1.txt", "generation 7"),
    quarantined: ("foreign", "_quarantine/orders/mine.json", "no entry"),
    missing: ("missing", f"b/dt=1/{FIRST}", "batch 0"),
    doubled: ("doubled", f"c/{FIRST}", FIRST),
    left_over: ("left-over", "_staging/1/0", "a batch that is over"),
    damaged: ("damaged-entry", batch_entry(0, 1), "damaged or truncated"),
    of_another: ("foreign-entry", batch_entry(0, 1), "f" * 32),
    misplaced: ("misplaced-entry", batch_entry(0, 1), "holds batch 2"),
    behind: ("register-behind", "register", "batch 3"),
    mismatched: ("mismatch", "register", "f" * 32),
    ahead: ("register-ahead", "register", "batch 2"),
}

ON_HDFS = (gap, overlap, truncated, foreign, missing, doubled, left_over, damaged)  # a lake takes a second there


def test_every_planted_fault_is_named(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other into lakes that are otherwise in order: exit 4, and a finding of its kind at its place."""
    local = lake.filesystem.url.startswith("file:")
    for number, (plant, (kind, where, told)) in enumerate(FAULTS.items()):
        if not (local or plant in ON_HDFS):
            continue
        each = replanted(lake, number)
        plant(each)
        status, said = each.verify(capsys, "--checksums")
        found = [f["told"] for f in said["findings"] if (f["kind"], f["where"]) == (kind, where)]
        assert status == 4, plant
        assert [t for t in found if told in t], (plant, said["findings"])


def replanted(lake: Checked, number: int) -> Checked:
    """Another lake of three batches of one partition, beside `lake`."""
    url, _, query = lake.urls[1].partition("?")
    store_url, sink_url = f"{lake.urls[0]}-{number}", f"{url}-{number}" + (f"?{query}" if query else "")
    made = Checked(open_store(store_url), open_filesystem(sink_url), partitions=1)
    made.urls = (store_url, sink_url)
    made.run(3)
    return made


def test_a_lost_register_and_a_lost_marker(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """Either one without the other is named; a place where no job ever wrote is in order."""
    lake.filesystem.delete("_application.json")
    lake.run(1)
    assert {f["kind"] for f in lake.verify(capsys)[1]["findings"]} == {"marker-lost"}
    lake.sink.write_marker(APP)
    here, lake.urls = lake.urls, (lake.urls[0] + "-none", lake.urls[1])
    assert [f["kind"] for f in lake.verify(capsys)[1]["findings"]] == ["register-lost"]
    url, _, query = here[1].partition("?")
    lake.urls = (lake.urls[0], f"{url}-none?{query}".rstrip("?"))
    assert lake.verify(capsys)[0] == 0


def test_a_prepared_batch_is_no_finding(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed between two renames: what is visible is told; a file of it that is nowhere is a finding."""
    lake.run(1)
    with killed_at("publish.each", 3):
        lake.run(1)
    status, said = lake.verify(capsys)
    assert (status, said["in_flight"]["batch"], said["in_flight"]["files"]) == (0, 1, 4)
    assert said["in_flight"]["published"] in range(4)
    hidden = next(f for f in lake.entry(1).files if lake.filesystem.status(f.staged))
    lake.filesystem.delete(hidden.staged)
    status, said = lake.verify(capsys)
    assert (status, [f["where"] for f in said["findings"]]) == (4, [hidden.final])


def test_a_prepared_batch_that_is_not_logged_yet(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed right after PREPARE: its manifest and its files must be in staging, or nobody can publish it."""
    lake.run(1)
    with killed_at("prepare.after"):
        lake.run(1)
    assert lake.verify(capsys)[0] == 0
    pending = lake.store_state().pending
    assert pending
    assert pending.manifest
    prepared = decode_manifest(lake.filesystem.read(pending.manifest.path))
    lake.filesystem.delete(prepared.files[1].staged)
    status, said = lake.verify(capsys)
    assert (status, [f["where"] for f in said["findings"]]) == (4, [prepared.files[1].final])
    lake.filesystem.delete(pending.manifest.path)
    status, said = lake.verify(capsys)
    assert (status, [(f["kind"], f["where"]) for f in said["findings"]]) == (4, [("missing", pending.manifest.path)])
    put(lake.filesystem, pending.manifest.path, b"other")
    status, said = lake.verify(capsys)
    assert (status, [f["kind"] for f in said["findings"]]) == (4, ["foreign-entry"])


def test_files_that_are_published_meanwhile_are_no_finding(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen neither by the listing, which was before, nor in staging, where they were until then."""
    lake.run(1)
    with killed_at("publish.each"):
        lake.run(1)
    pending, logged, looks = lake.store_state().pending, reading.logged, []
    assert pending
    ref = pending.manifest
    assert ref

    def publishing(sink: Any) -> Any:
        looks.append(1)
        if len(looks) == 2:
            lake.sink.publish(ref, lake.entry(1), lambda: False)
        return logged(sink)

    monkeypatch.setattr(reading, "logged", publishing)
    verdict = verify(lake.store, lake.filesystem)
    assert (verdict.findings, verdict.in_flight and verdict.in_flight.published, len(looks)) == ((), 0, 2)


def test_retention_that_overtakes_the_reading_is_no_finding(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `retain.batches` was lowered many entries go at once: what was read of older ones counts no more."""
    lake.run(6)
    entry = reading._entry

    def overtaken(sink: Any, generation: int, seq: int) -> Any:
        read = entry(sink, generation, 0)
        BatchLogRetention(lake.filesystem, 2).prune(0, 6)
        return (read if seq == 0 else None) if seq < 4 else entry(sink, generation, seq)

    monkeypatch.setattr(reading, "_entry", overtaken)
    verdict = verify(lake.store, lake.filesystem)
    assert (verdict.findings, verdict.oldest, verdict.counts.batches, verdict.counts.older) == ((), 4, 2, 16)


def test_consumers_may_move_files_away(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """Strictly that is a finding; with the option they are counted."""
    lake.run(2)
    lake.filesystem.rename_no_clobber("a", "_elsewhere")
    assert lake.verify(capsys)[0] == 4
    status, said = lake.verify(capsys, "--allow-moved")
    assert (status, said["counts"]["moved"]) == (0, 4)


def test_a_log_that_lost_its_beginning(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of batches before the oldest entry are counted, not foreign; it says from where it can vouch."""
    lake.keep_batches = 2
    lake.launch()
    lake.run(4)
    status, said = lake.verify(capsys)
    assert (status, said["findings"], said["oldest"]) == (0, [], 2)
    assert {v["from_offset"] for v in said["vouched"]} == {20}
    assert (said["counts"]["batches"], said["counts"]["older"]) == (2, 8)
    put(lake.filesystem, "a/orders+p0+0000000030+0000000040+g0e9.txt", b"x")
    assert [f["kind"] for f in lake.verify(capsys)[1]["findings"]] == ["foreign"]


def test_generations_are_told_apart(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """A rewind doubles nothing within a generation, and where the new one begins is checked too."""
    lake.run(2)
    lake.reset(10)
    lake.run(2)
    status, said = lake.verify(capsys)
    spans = [(v["generation"], v["from_offset"], v["until_offset"]) for v in said["vouched"] if v["partition"] == 0]
    assert (status, spans) == (0, [(0, 0, 20), (1, 10, 30)])
    was = decode_manifest(lake.filesystem.read(batch_entry(1, 2)))
    lake.filesystem.delete(batch_entry(1, 2))
    later = tuple(r._replace(from_offset=15) for r in was.ranges)
    put(lake.filesystem, batch_entry(1, 2), encode_manifest(Manifest(**{**vars(was), "ranges": later})))
    assert "gap" in {f["kind"] for f in lake.verify(capsys)[1]["findings"]}


def test_the_table_names_findings_one_a_line(lake: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """For people: the spans in a table, each finding on a line that a shell can take apart."""
    lake.run(1)
    missing(lake)
    assert main("", ["--store", lake.urls[0], "--sink", lake.urls[1]]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert ["0", "orders", "0", "0", "10"] in [line.replace("│", " ").split() for line in lines]
    assert [line for line in lines if line.startswith(f"missing b/dt=1/{FIRST}: is not there; batch 0")]
    assert lines[-1] == "1 findings"


def test_a_batch_that_lands_meanwhile_is_no_finding(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step of the verification a live run commits a batch, and retention takes the oldest entry away."""
    lake.keep_batches = 8
    lake.launch()
    lake.run(9)
    for name in ("staged", "logged", "entries", "visible"):
        real = getattr(reading, name)

        def then_a_batch(*given: Any, real: Callable[..., Any] = real) -> Any:
            lake.run(1)
            return real(*given)

        monkeypatch.setattr(reading, name, then_a_batch)
    verdict = verify(lake.store, lake.filesystem)
    assert verdict.findings == ()
    assert lake.manager.state.seq >= 9 + 6
    assert verdict.oldest is not None
    assert verdict.oldest > 1


def test_what_cannot_be_asked_is_not_vouched_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong options exit 2, a server that is away exits 69, and nothing stands on stdout."""
    assert main("", []) == main("", ["--store", "file:///x"]) == main("", ["no.cfg"]) == 2
    assert main("", ["--store", "file:///nowhere/at/all", "--sink", "webhdfs://127.0.0.1:9/x"]) == 69
    assert capsys.readouterr().out == ""


def test_staging_that_is_collected_meanwhile_is_no_finding(lake: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what two looks see is left over."""
    lake.run(2)
    left_over(lake)
    assert [f.kind for f in verify(lake.store, lake.filesystem).findings] == ["left-over"]
    real = reading.visible

    def collected(filesystem: Any) -> Any:
        lake.committer.collect_garbage()
        return real(filesystem)

    monkeypatch.setattr(reading, "visible", collected)
    assert verify(lake.store, lake.filesystem).findings == ()
