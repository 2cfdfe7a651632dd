"""What surrounds Spark: a missing Java is named, and Ctrl-C does not wait for ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from streaming.run import session
from streaming.run.runner import Drain


def test_a_machine_without_java_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """JAVA_HOME decides before the PATH, as for Spark's launcher."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert not session.has_java()
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert session.has_java()


@pytest.mark.parametrize("submitted", [True, False])
def test_ctrl_c_drains_and_under_spark_submit_not_for_long(monkeypatch: pytest.MonkeyPatch, submitted: bool) -> None:
    """The JVM of spark-submit ends at once; the driver leaves with 130 if the batch takes longer than a moment."""
    left: list[int] = []
    gone = threading.Event()

    def leave(status: int) -> None:
        left.append(status)
        gone.set()

    monkeypatch.setattr(session, "INTERRUPT_SECONDS", 0.01)
    monkeypatch.setattr(session, "under_spark_submit", lambda: submitted)
    monkeypatch.setattr(session.os, "_exit", leave)
    drain = Drain()
    session.interrupted(drain)()
    assert drain.requested
    assert gone.wait(5 if submitted else 0.1) == submitted
    assert left == ([130] if submitted else [])
