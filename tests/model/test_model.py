"""The exhaustive model of the protocol, on the rows of its own page; those that take long only in full."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
QUICK_STATES = 13_000  # rows with up to as many states are in the plain suite: below 10 s on a slow machine
_spec = importlib.util.spec_from_file_location("protocol_model", HERE / "model.py")
assert _spec
assert _spec.loader
model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(model)


def rows() -> list[tuple[str, str, str, str, int]]:
    """(profile, case, flags, verdict, states) of both tables of section 8 of protocol.md."""
    text = (HERE / "protocol.md").read_text(encoding="utf-8").split("\n## 8")[1]
    cells = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return [
        (p, case, flags, verdict, int(n.replace(",", "")))
        for p, case, flags, verdict, n in cells
        if p in model.PROFILES
    ]


SHALLOW = [row for row in rows() if "deep" not in row[2]]
QUICK = [row for row in SHALLOW if row[-1] <= QUICK_STATES]


def explore(profile: str, options: str) -> tuple[str, int]:
    flags, pairs = [o for o in options.split() if "=" not in o], re.findall(r"(\S+)=(\S+)", options)
    scope = {name: value if name in ("sizes", "steps") else int(value) for name, value in pairs}
    verdict, states, _ = model.Model(profile, flags, **scope).run()
    return verdict, states


@pytest.mark.parametrize(
    ("profile", "case", "options", "verdict", "states"),
    [pytest.param(*row, id=f"{row[0]}: {row[1]}", marks=() if row in QUICK else pytest.mark.full) for row in SHALLOW],
)
def test_row(profile: str, case: str, options: str, verdict: str, states: int) -> None:
    """A row of the page comes out as the page says: safe designs are safe, each mistake is found."""
    assert explore(profile, options) == (verdict, states), case


def test_quick_rows_show_both_sides() -> None:
    """The quick rows hold safe designs and every kind of mistake."""
    assert {row[3] for row in QUICK} >= {"SAFE", "LOSS", "DUPLICATE", "EXTRA", "STUCK"}
    assert len(QUICK) > 30
