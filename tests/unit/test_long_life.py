"""What must stay bounded over years: the batch log, run reports, probes and scratch folders of dead launches."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from offsets.errors import RegisterError, SinkError
from offsets.filesystems import LocalFilesystem
from offsets.manager import OffsetManager, current_owner
from offsets.stores.base import MemoryStore
from offsets.structs import AT_MOST_ONCE
from streaming.run import reports as run_reports
from streaming.run.reports import keep_run_report
from streaming.sinks import retention
from streaming.sinks.names import batch_entry, reset_entry
from streaming.sinks.retention import BatchLogRetention
from streaming.sinks.runs import keep_report, reports
from streaming.spark.scratch import remove_abandoned, scratch_folder
from tests.contract.file_places import put, tree
from tests.contract.lakes import Lake, killed_at

SUMMARY = {"runId": "0" * 32, "exitStatus": 0}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    return Lake(MemoryStore(), LocalFilesystem(str(tmp_path / "lake")), partitions=1, folders=("a",), keep_batches=3)


def logged(lake: Lake) -> list[str]:
    return sorted(path for path in tree(lake.filesystem) if path.startswith("_batches/"))


def test_the_batch_log_keeps_the_newest(lake: Lake) -> None:
    """By number, over generations; folders of generations that are empty go with the next launch."""
    lake.run(5)
    assert logged(lake) == [batch_entry(0, n) for n in (2, 3, 4)]
    lake.reset(10)
    lake.run(2)
    assert logged(lake) == [batch_entry(0, 4), "_batches/1.reset.json", batch_entry(1, 5), batch_entry(1, 6)]
    lake.run(1)
    lake.launch()
    assert [entry.name for entry in lake.filesystem.list("_batches")] == ["1", "1.reset.json"]


def test_what_a_crash_skipped_is_pruned_by_the_next_launch(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the setting was lowered by much; so many a batch that none has to wait for long."""
    lake.keep_batches = 100
    lake.launch()
    lake.run(9)
    monkeypatch.setattr(retention, "AT_ONCE", 4)
    lake.keep_batches = 2
    lake.launch()
    assert logged(lake) == [batch_entry(0, n) for n in range(4, 9)]
    lake.run(1)
    assert logged(lake) == [batch_entry(0, n) for n in (8, 9)]


def test_an_entry_that_cannot_be_deleted_is_tried_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails no batch; the next one deletes it."""
    refuse = True

    def delete(self: LocalFilesystem, path: str, recursive: bool = False) -> None:
        if refuse and path.startswith("_batches/"):
            raise SinkError("no rights")
        real(self, path, recursive)

    real = LocalFilesystem.delete
    monkeypatch.setattr(LocalFilesystem, "delete", delete)
    lake.run(5)
    assert len(logged(lake)) == 5
    refuse = False
    lake.run(1)
    assert logged(lake) == [batch_entry(0, n) for n in (3, 4, 5)]


def test_an_orderly_launch_asks_once(lake: Lake) -> None:
    """A log of a hundred thousand entries is neither listed nor searched for what is not there."""
    lake.run(5)
    listed: list[str] = []
    looked: list[str] = []

    class Counting(LocalFilesystem):
        def status(self, path: str) -> Any:
            looked.append(path)
            return super().status(path)

        def list(self, path: str) -> Any:
            listed.append(path)
            return super().list(path)

    root: Any = lake.filesystem
    BatchLogRetention(Counting(root.root), 3).prune(0, 5)
    asked = [batch_entry(0, 4), batch_entry(0, 1)]
    assert (listed, [path for path in looked if path.endswith(".json")]) == (["_batches"], asked)


def test_recovery_and_refusal_work_on_what_is_kept(lake: Lake) -> None:
    """The newest entry never goes, and a register put back from a copy is still refused."""
    lake.keep_batches = 1
    lake.launch()
    lake.run(4)
    newest = lake.sink.newest_batch()
    assert newest
    assert (newest.path, newest.manifest.seq) == (batch_entry(0, 3), 3)
    for seq in range(4):  # also one so old that the log has lost the batches that come next
        with pytest.raises(RegisterError, match="0000000003"):
            lake.sink.refuse_logged(0, seq)
    lake.sink.refuse_logged(0, 4)


def test_the_newest_entry_outlives_batches_that_were_lost(lake: Lake) -> None:
    """Under at-most-once a job that dies in each batch logs none: what a lost register needs stays all the same."""
    lake.guarantee, lake.keep_batches = AT_MOST_ONCE, 1
    lake.launch()
    lake.run(2)
    for _ in range(3):
        with killed_at("stage.before"):
            lake.run(1)
        lake.launch()
    assert logged(lake) == [batch_entry(0, 1)]
    lake.run(2)
    assert logged(lake) == [batch_entry(0, 6)]


def test_a_register_of_before_a_reset_is_refused(lake: Lake) -> None:
    """Its generation has ended: by the trace of the next one, then by that one's batches."""
    lake.run(3)
    lake.sink.refuse_logged(0, 3)
    lake.reset(70)
    lake.sink.refuse_logged(1, 3)
    with pytest.raises(RegisterError, match=r"_batches/1\.reset"):
        lake.sink.refuse_logged(0, 3)
    lake.filesystem.delete(reset_entry(1))
    lake.run(1)
    with pytest.raises(RegisterError, match="_batches/1/0000000003"):
        lake.sink.refuse_logged(0, 3)


def test_a_rebuild_after_a_reset_stays_in_its_generation(lake: Lake) -> None:
    """The reset has left its trace in the log, before any batch of the new generation."""
    lake.run(3)
    lake.reset(70)
    newest = lake.sink.newest_batch()
    assert newest
    assert (newest.manifest.generation, newest.manifest.topics["orders"].offsets) == (1, {0: 70})
    lake.store = MemoryStore()
    state = OffsetManager(lake.store, current_owner("x")).rebuild(newest.manifest, newest.staged)
    assert (state.generation, state.seq, state.pending) == (1, 3, None)
    lake.launch()
    lake.run(1)
    assert batch_entry(1, 3) in logged(lake)


def test_what_killed_launches_leave_is_collected(lake: Lake) -> None:
    """Probes, markers in the making, and whole epochs; not what somebody else keeps there."""
    lake.launch()
    lake.launch()  # epoch 3
    for path in ("probe-1", "marker-2", "1/0/x", "2/7/y", "keep/me"):
        put(lake.filesystem, f"_staging/{path}", b"x")
    lake.committer.collect_garbage()
    assert sorted(p for p in tree(lake.filesystem) if p.startswith("_staging/")) == ["_staging/keep/me"]
    assert [entry.name for entry in lake.filesystem.list("_staging")] == ["keep"]


def report(second: int, **more: Any) -> dict[str, Any]:
    return {**SUMMARY, "timestamp": f"2026-11-21T16:00:{second:02}.000Z", "runId": f"{second:032x}", **more}


def test_the_newest_reports_are_kept(tmp_path: Path) -> None:
    """In the order of their start; what is not a report stays, what is half written is passed over."""
    sink = LocalFilesystem(str(tmp_path))
    put(sink, "_runs/notes.txt", b"mine")
    for second in (5, 1, 9, 3):
        keep_report(sink, report(second), keep=3)
    put(sink, "_runs/20261121T160007000Z-" + "f" * 32 + ".json", b'{"half":')
    assert [r["timestamp"][17:19] for r in reports(sink)] == ["09", "05", "03"]
    assert (tmp_path / "_runs" / "notes.txt").read_text() == "mine"
    with pytest.raises(FileExistsError):
        keep_report(sink, report(9), keep=3)


def test_a_report_never_fails_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that refuses, or hangs, costs a line and a few seconds."""
    (tmp_path / "file").touch()
    keep_run_report(f"file://{tmp_path}/file", report(1), 3)
    released = threading.Event()
    monkeypatch.setattr(run_reports, "keep_report", lambda *_: released.wait(30))
    keep_run_report(f"file://{tmp_path}/sink", report(1), 3, seconds=0.05)
    released.set()


def test_scratch_folders_of_dead_drivers_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGKILLed driver's is taken away by a later launch; a live one's, a young one and another's stay."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "from streaming.spark.scratch import scratch_folder as s\nwith s() as f: print(f, flush=True); input()"
    command = [sys.executable, "-c", code]
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as driver:
        assert driver.stdout
        theirs = Path(driver.stdout.readline().strip())
        assert theirs.parent == tmp_path
        other = tmp_path / "kafka-direct-other-machine-1"
        other.mkdir()
        for folder in (theirs, other):
            os.utime(folder, (0, 0))
        with scratch_folder() as mine:
            assert theirs.is_dir()
            os.utime(mine, (0, 0))
            remove_abandoned(tmp_path, "kafka-direct-")
            assert mine.is_dir()
            assert theirs.is_dir()
            assert not other.exists()
        assert not mine.exists()
        driver.kill()
        driver.wait()
    assert theirs.is_dir()
    young = tmp_path / f"kafka-direct-{socket.gethostname()}-young"  # its driver is about to lock it
    for folder in (other, young):
        folder.mkdir()
    os.utime(theirs, (0, 0))
    with scratch_folder() as mine:
        assert sorted(tmp_path.iterdir()) == sorted([other, young, mine])


def test_reports_are_json_lines_for_people(tmp_path: Path) -> None:
    """One line, as it was printed, under a name that HDFS takes."""
    sink = LocalFilesystem(str(tmp_path))
    keep_report(sink, report(1), 3)
    (path,) = (tmp_path / "_runs").iterdir()
    assert path.name == f"20261121T160001000Z-{1:032x}.json"
    assert json.loads(path.read_text()) == report(1)
