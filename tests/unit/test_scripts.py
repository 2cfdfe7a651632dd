"""What the scripts say for themselves: without their libraries, and with --help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streaming.commands.run_stream import arguments
from streaming.config.settings import SETTINGS

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    "name",
    [
        "run_stream",
        "verify_output",
        "show_offsets",
        "pause_job",
        "reset_offsets",
        "offset_history",
        "produce_transactions",
        "produce_json_lines",
        "produce_sequence",
        "sandbox",
    ],
)
def test_a_python_without_the_libraries_is_told_in_a_line(name: str) -> None:
    """The first thing that a new user does: the system's Python has none of them."""
    bare = [sys.executable, "-S", "-E", str(SCRIPTS / f"{name}.py"), "--help"]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{name}: {sys.executable} has no module" in done.stderr
    assert ".venv/bin/activate" in done.stderr


def test_help_lists_every_setting() -> None:
    """The job file has no other reference."""
    told = arguments("").format_help()
    for setting in SETTINGS:
        assert f"  {setting.option}" in told
