"""A task's start is cheap, and imports work as before."""

from __future__ import annotations

import importlib
import sys
import zipfile
import zipimport
from pathlib import Path

import pytest

from streaming.spark.taskstart import forget_archives, local_sockets


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zip on the path that holds two modules; what is imported from it is forgotten afterwards."""
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as code:
        code.writestr("taskstart_first.py", "")
        code.writestr("taskstart_second.py", "")
    monkeypatch.syspath_prepend(str(path))
    for name in ("taskstart_first", "taskstart_second"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return path


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From now on, every archive whose directory is read."""
    seen: list[str] = []
    read = zipimport._read_directory  # type: ignore[attr-defined]
    monkeypatch.setattr(zipimport, "_read_directory", lambda path: seen.append(path) or read(path))
    return seen


def test_archives_are_read_once(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a task nothing is read for the next one, and a module that comes later is still found."""
    importlib.import_module("taskstart_first")
    seen = reads(monkeypatch)
    importlib.invalidate_caches()
    if sys.version_info < (3, 13):  # from 3.13 on it is read when it is next looked into
        assert str(archive) in seen, "this is what a task's start costs"
    forget_archives()
    seen.clear()
    importlib.invalidate_caches()
    importlib.import_module("taskstart_second")
    assert seen == []


def test_sockets_lie_in_the_folder_if_their_path_is_short_enough(tmp_path: Path) -> None:
    """A path of more than 107 bytes cannot be bound: Spark keeps to TCP then."""
    short, long = Path("/tmp/kafka-direct-12345678"), Path("/tmp") / ("x" * 60)
    assert local_sockets(short)["spark.python.unix.domain.socket.dir"] == str(short)
    assert local_sockets(long) == {}
