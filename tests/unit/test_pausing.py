"""The pause switch: who is paused leaves before it takes anything, who runs drains, and all can see who did it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from offsets.errors import UnavailableError
from offsets.filesystems import LocalFilesystem, open_filesystem
from offsets.stores import open_store
from streaming.commands import pause_job, run_stream
from streaming.run import pausing
from streaming.run.pausing import PauseWatch, pause_in_force
from streaming.sinks.pause import Pause, lift_pause, paused, set_pause
from tests.contract.file_places import put, tree
from tests.contract.lakes import Lake, killed_at
from tests.unit.job_file import JOB

ME = Pause("ann@host", "2026-11-21T16:00:00+00:00", "an upgrade")


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Path]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    path = tmp_path / "orders.cfg"
    path.write_text(JOB.format(folder=tmp_path) + "[spark]\nspark.master = local[1]\n")
    yield path
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_paused_launch_takes_nothing(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0 with who, when and why; a prepared batch waits, the register is as it was, no report is kept."""
    lake = Lake(open_store(f"file://{tmp_path}/offsets"), open_filesystem(f"file://{tmp_path}/lake"))
    with killed_at("publish.each"):
        lake.run(1)
    set_pause(lake.filesystem, ME)
    before = tree(lake.filesystem), lake.store.load()
    assert run_stream.main("", [str(job), "--available-now"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["exitStatus"], said["exitReason"]) == (0, f"paused by {ME.who} since {ME.when}: {ME.why}")
    assert (tree(lake.filesystem), lake.store.load()) == before


def test_a_run_drains_when_it_is_paused(tmp_path: Path) -> None:
    """Looked at beside the batches; a look that fails stops nothing, and after the block nobody looks any more."""
    sink, drained = LocalFilesystem(str(tmp_path)), threading.Event()

    class Flaky(LocalFilesystem):
        looks = 0

        def read(self, path: str) -> bytes:
            Flaky.looks += 1
            if Flaky.looks == 1:
                raise UnavailableError("away")
            return super().read(path)

    with PauseWatch(Flaky(str(tmp_path)), drained.set, every=0.01) as watch:
        while Flaky.looks < 3:
            assert not drained.wait(0.01)
        assert watch.seen is None
        set_pause(sink, ME)
        assert drained.wait(60)
        assert watch.seen == ME
    ended: list[None] = []
    with PauseWatch(sink, lambda: ended.append(None), every=30) as over:
        pass
    over._watch()
    assert ended == []


def test_a_file_made_by_hand_is_a_pause(tmp_path: Path) -> None:
    """`touch _paused.json` is enough, whatever stands in it."""
    sink = LocalFilesystem(str(tmp_path))
    for number, content in enumerate((b"", b"\xff", b"[1]", b'{"who": 1, "when": "x", "why": "y"}', b'{"who": "x"}')):
        put(LocalFilesystem(f"{tmp_path}/{number}"), "_paused.json", content)
        found = pause_in_force(LocalFilesystem(f"{tmp_path}/{number}"))
        assert found
        assert "does not say more" in str(found)
    assert paused(sink) is None


def test_a_hung_sink_keeps_no_launch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit 69, as for any server that does not answer."""
    over = threading.Event()
    monkeypatch.setattr(pausing, "paused", lambda _: over.wait(30))
    with pytest.raises(UnavailableError):
        pause_in_force(LocalFilesystem(str(tmp_path)), seconds=0.05)
    over.set()


def test_one_pause_at_a_time(tmp_path: Path) -> None:
    """The first one stands until it is lifted."""
    sink = LocalFilesystem(str(tmp_path))
    assert set_pause(sink, ME)
    assert not set_pause(sink, Pause("bob", "later", "another"))
    assert (lift_pause(sink), lift_pause(sink), paused(sink)) == (ME, None, None)


def test_a_pause_appears_whole(tmp_path: Path) -> None:
    """Who looks while it is being written sees none of it; it comes by a rename.  (Found by CI: an unsigned pause.)"""
    seen: list[Pause | None] = []

    class Watched(LocalFilesystem):
        def rename_no_clobber(self, source: str, destination: str) -> None:
            seen.append(paused(self))
            super().rename_no_clobber(source, destination)
            seen.append(paused(self))

    assert set_pause(Watched(str(tmp_path)), ME)
    assert seen == [None, ME]


def test_the_script(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pauses, shows and resumes; each time one line says what is the case now."""

    def said(*options: str) -> str:
        assert pause_job.main("", [str(job), *options]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        return line

    assert said() == "orders: not paused"
    assert not (tmp_path / "lake").exists()
    first = said("--reason", "disk is full")
    assert first.startswith("orders: paused by ")
    assert first.endswith(": disk is full")
    assert said() == first
    assert said("--reason", "another") == first.replace("orders: ", "orders: already ")
    assert said("--resume") == first.replace("orders: ", "orders: resumed; it was ")
    assert said("--resume") == said() == "orders: not paused"


@pytest.mark.parametrize(("name", "status"), [("no.cfg", 2), ("file", 1)])
def test_the_script_says_what_is_wrong(job: Path, tmp_path: Path, name: str, status: int, capsys: Any) -> None:
    """A job file that is not there, a sink that is a file."""
    (tmp_path / "lake").touch()
    path = job if name == "file" else tmp_path / name
    assert pause_job.main("", [str(path), "--reason", "x"]) == status
    said = capsys.readouterr()
    assert (said.out, "; remedy: " in said.err) == ("", True)


def test_the_sink_alone_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a job file; a URL that is none, and no sink at all, are refused."""
    sink = ["--sink", f"file://{tmp_path}/lake"]
    assert pause_job.main("", [*sink, "--reason", "an upgrade"]) == 0
    assert pause_job.main("", [*sink, "--resume"]) == 0
    assert f"file://{tmp_path}/lake: resumed; it was paused by " in capsys.readouterr().out
    assert pause_job.main("", ["--sink", "fil:///lake"]) == 2
    assert pause_job.main("", ["--store", f"file://{tmp_path}/offsets"]) == 2
    said = capsys.readouterr()
    assert "--sink: missing" in said.err
    assert said.out == ""
