"""The table of incidents and its tests are one: a row for each test, a test for each row, and README shows it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.incidents.table import TEXT, incidents

FOLDER = Path(__file__).parent
README = FOLDER.parents[1] / "README.rst"
WANTED = {
    *("data loss", "topic replaced", "topic missing", "register lost", "register damaged", "overlap", "frozen holder"),
    *("ZooKeeper quorum lost", "NameNode safe mode", "broker down", "disk full", "quota full"),
    *("record function raises", "bad share exceeded"),
}


def test_a_test_for_each_row() -> None:
    """No stop without one, and no test of a stop that is not told."""
    tree = ast.parse((FOLDER / "test_incidents.py").read_text())
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
    assert sorted(names) == sorted(f"test_{incident.slug}" for incident in incidents())
    assert {incident.name for incident in incidents()} == WANTED


def test_each_row_has_a_command() -> None:
    """Of ours, in the last column."""
    for incident in incidents():
        assert [c for c in incident.commands if re.match(r"(run_stream|reset_offsets)\.py JOB\.cfg", c)], incident


def test_readme_shows_the_table() -> None:
    """As it stands here, to the letter."""
    assert TEXT in README.read_text(encoding="utf-8")
