"""Which Java is taken: 17 or 21 by what it states itself, never by where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers import jvm

FAKE = """#!/bin/sh
for x in "$@"; do [ "$x" = --add-modules=jdk.incubator.vector ] && asked=yes; done
[ "$asked" = yes ] && [ {vector} = yes ] || exit 1
echo "    java.home = {home}" >&2
echo "    java.specification.version = {version}" >&2
"""


def install(home: Path, version: str, vector: str = "yes") -> Path:
    """A JAVA_HOME whose `java` states this version, with or without the module that Spark asks for."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(FAKE.format(home=home, version=version, vector=vector))
    program.chmod(0o755)
    return home


@pytest.fixture(autouse=True)
def brought(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What would be brought, instead of a download; no Java elsewhere."""
    monkeypatch.setattr(jvm, "_brought", lambda: tmp_path / "brought")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/bin-without-java")
    return tmp_path / "brought"


def put_on_path(monkeypatch: pytest.MonkeyPatch, *homes: Path) -> None:
    monkeypatch.setenv("PATH", ":".join(str(home / "bin") for home in homes))


@pytest.mark.parametrize("version", ["17", "21"])
def test_17_and_21_on_the_path_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Both are good."""
    put_on_path(monkeypatch, install(tmp_path / "it", version))
    assert jvm.java_home() == tmp_path / "it"


@pytest.mark.parametrize("version", ["1.8", "11", "25"])
def test_other_versions_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: Path, version: str
) -> None:
    """Spark or HDFS fails on them, so one of our own is brought."""
    put_on_path(monkeypatch, install(tmp_path / "it", version))
    assert jvm.java_home() == brought


def test_java_home_comes_before_the_path_and_a_wrong_one_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_HOME wins if it is good; else the PATH is searched to its end."""
    good, other, old = install(tmp_path / "a", "17"), install(tmp_path / "b", "21"), install(tmp_path / "c", "11")
    put_on_path(monkeypatch, old, other)
    monkeypatch.setenv("JAVA_HOME", str(good))
    assert jvm.java_home() == good
    monkeypatch.setenv("JAVA_HOME", str(old))
    assert jvm.java_home() == other


def test_a_runtime_that_spark_cannot_use_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brought: Path
) -> None:
    """The right version without the module that Spark's launcher asks for does not start Spark."""
    put_on_path(monkeypatch, install(tmp_path / "it", "21", vector="no"))
    assert jvm.java_home() == brought


def test_no_java_at_all(brought: Path) -> None:
    """One is brought."""
    assert jvm.java_home() == brought
