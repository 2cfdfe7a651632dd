"""FAILURE_MODES.rst: every row that concerns us is there once, and each test that it names exists as it is named."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
TABLE = (Path(__file__).parent / "FAILURE_MODES.rst").read_text()
ROWS = re.findall(r"^([A-Z]\d+) .+\n((?:    .*\n)+)", TABLE, re.MULTILINE)
NAMED = re.findall(r"(\w+/test_\w+\.py)::(\w+)( \(full\))?", TABLE)


@cache
def functions_in(file: str) -> dict[str, bool]:
    """The test functions of a file, and whether each is marked `full` as a whole."""
    tree = ast.parse((TESTS / file).read_text())
    marks = [ast.unparse(n.value) for n in tree.body if isinstance(n, ast.Assign) and "pytestmark" in ast.unparse(n)]
    return {
        node.name: "pytest.mark.full" in [*marks, *map(ast.unparse, node.decorator_list)]
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


def test_every_row_is_there_once() -> None:
    """K1 to K16, S12, H1 to H12 and Z5 to Z7, each with a test, or with a word why there is none."""
    wanted = [f"K{n}" for n in range(1, 17)] + ["S12"] + [f"H{n}" for n in range(1, 13)] + ["Z5", "Z6", "Z7"]
    assert [name for name, _ in ROWS] == wanted
    assert [name for name, text in ROWS if "::" not in text] == ["K4"]


@pytest.mark.parametrize(("file", "name", "full"), NAMED)
def test_what_is_named_exists(file: str, name: str, full: str) -> None:
    """In that file, and in the part of the suite that is told."""
    assert name in functions_in(file)
    assert functions_in(file)[name] == bool(full)
