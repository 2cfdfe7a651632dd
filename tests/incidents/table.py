"""The table of incidents, as README.rst shows it and as the tests here live through it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TEXT = (Path(__file__).parent / "INCIDENTS.rst").read_text(encoding="utf-8")


class Incident(NamedTuple):
    """One row.  `line`: the first that it shows; `commands`: what stands as such in the last column."""

    name: str
    line: str
    exit: int
    commands: tuple[str, ...]

    @property
    def slug(self) -> str:
        return re.sub(r"\W+", "_", self.name.lower())

    def matches(self, line: str, names: Mapping[str, str]) -> bool:
        """Whether a run has said this, with its own names in place of the table's."""
        parts = (re.escape(put(part, names)) for part in self.line.split("..."))
        return re.match(".*".join(parts), line) is not None

    def command(self, script: str, names: Mapping[str, str]) -> str:
        """The one that is told for that script."""
        (found,) = (command for command in self.commands if command.startswith(script))
        return put(found, names)


def put(text: str, names: Mapping[str, str]) -> str:
    """The text with what the words in capitals stand for."""
    return re.sub(r"\b[A-Z]+(\.cfg)?\b", lambda found: names.get(found[0], found[0]), text)


def incidents() -> list[Incident]:
    _head, *rows = re.split(r"^   \* - ", TEXT, flags=re.MULTILINE)[1:]
    return [_incident(re.split(r"^     - ", cells, flags=re.MULTILINE)) for cells in rows]


def _incident(cells: list[str]) -> Incident:
    name, line, status, way_on = cells
    return Incident(name.strip(), _literals(line)[0], int(status), tuple(_literals(way_on)))


def _literals(cell: str) -> list[str]:
    return [" ".join(found.split()) for found in re.findall(r"``(.+?)``", cell, re.DOTALL)]
