"""The pinned jars: only a file with the right checksum ever gets into the cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from servers import jars
from servers.jars import Jar, JarError

CONTENT = b"a jar"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest(), "kafka")


def test_the_list_names_every_jar_exactly_once_with_a_checksum() -> None:
    """Each line is exact coordinates, a SHA-256 and known servers; nobody needs a range or a snapshot."""
    listed = jars.read_list(jars.LIST.read_text())
    assert len({jar.file for jar in listed}) == len(listed) > 100
    for jar in listed:
        assert len(jar.sha256) == 64
        assert set(jar.servers.split(",")) <= set(jars.SETS)
        assert not set("[](),+") & set(jar.version)


def test_a_line_that_is_not_a_jar_is_refused() -> None:
    """A line without its checksum does not pass as a jar."""
    with pytest.raises(TypeError):
        jars.read_list("org.example:thing:1.0 kafka")


def test_a_fetched_file_with_the_right_checksum_moves_into_the_cache(tmp_path: Path) -> None:
    """The move is what makes a jar present."""
    came = tmp_path / "came.jar"
    came.write_bytes(CONTENT)
    assert jars.move_verified(JAR, came, tmp_path)
    assert (tmp_path / JAR.file).read_bytes() == CONTENT
    assert not came.exists()


def test_a_fetched_file_with_a_wrong_checksum_is_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and neither it nor anything under the jar's name is left."""
    came = tmp_path / "came.jar"
    came.write_bytes(CONTENT + b"!")
    assert not jars.move_verified(JAR, came, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "came.jar" in capsys.readouterr().err


class Registry:
    """Stands for Ivy: serves what it is given, as it is."""

    def __init__(self, content: bytes) -> None:
        self.content, self.fetches = content, 0

    def download(self, wanted: list[Jar], folder: Path, attempt: int) -> str:
        self.fetches += 1
        for jar in wanted:
            came = folder.with_name("came")
            came.write_bytes(self.content)
            folder.mkdir(exist_ok=True)
            jars.move_verified(jar, came, folder)
        return "the registry's words"


def test_a_damaged_jar_in_the_cache_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was cut short or changed later is replaced, a good one is left alone."""
    registry, folder = Registry(CONTENT), tmp_path / "jars"
    monkeypatch.setattr(jars, "_download", registry.download)
    folder.mkdir()
    (folder / JAR.file).write_bytes(CONTENT[:2])
    jars.fetch([JAR], folder)
    jars.fetch([JAR], folder)
    assert (folder / JAR.file).read_bytes() == CONTENT
    assert registry.fetches == 1


def test_a_registry_that_serves_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some attempts the jar is named, with what the downloader said; nothing of it is in the cache."""
    registry, folder = Registry(b"something else"), tmp_path / "jars"
    monkeypatch.setattr(jars, "_download", registry.download)
    with pytest.raises(JarError, match=r"org\.example\+thing-1\.0\.jar(.|\n)*the registry's words"):
        jars.fetch([JAR], folder)
    assert registry.fetches == jars.ATTEMPTS
    assert list(folder.iterdir()) == []
