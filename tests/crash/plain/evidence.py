"""What is to be judged of one tuple: files, the register's history and exit statuses, as an onlooker sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.crash.plain.places import CONSUMED, DATA, Folder
from tests.crash.plain.registers import History, Register
from tests.crash.plain.topic import Produced

STAGING = "_staging/"
ENTRY = re.compile(r"_batches/\d+/\d{10}\.json")
GENERATION = re.compile(r"\+g(\d+)e")  # in the name of a published file


@dataclass(frozen=True)
class Look:
    """Everything there was at one moment at which no driver ran.  Files by name, with their content."""

    when: str  # "crash", "frozen", "takeover", "woken" (after a takeover), "late" (after none) or "clean"
    files: Mapping[str, bytes]  # all that is not in staging, and not moved away
    consumed: Mapping[str, bytes]  # moved away, under the names they had
    staging: Sequence[str]
    manifests: Mapping[str, Mapping[str, Any]]  # those in staging, by name
    register: Register | None

    @property
    def visible(self) -> dict[str, bytes]:
        """What a plain listing shows."""
        return {name: content for name, content in self.files.items() if DATA.match(name)}

    @property
    def published(self) -> dict[str, bytes]:
        """The same, and what consumers have moved away."""
        return {**self.consumed, **self.visible}

    @property
    def batches(self) -> list[Mapping[str, Any]]:
        """The manifests that the batch log holds, in their order."""
        return [body(data) for name, data in sorted(self.files.items()) if ENTRY.fullmatch(name)]


@dataclass(frozen=True)
class Exit:
    """How one launch ended; `said`: its log."""

    what: str  # "fault", "takeover", "woken" or "clean"
    status: int | None
    said: str


@dataclass
class Evidence:
    """Of one tuple.  `direct`: the rows that a direct sink has; `spans`: partition, from and until of its writes."""

    guarantee: str
    kind: str
    action: str
    store: str
    produced: Produced
    looks: list[Look] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    history: list[Register] = field(default_factory=list)
    direct: list[dict[str, Any]] = field(default_factory=list)
    spans: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def end(self) -> Look:
        return self.looks[-1]

    def rows(self) -> list[dict[str, Any]]:
        """Every record that somebody has received, as often as he did."""
        if self.kind == "direct":
            return self.direct
        return [
            {**json.loads(line), "generation": generation_of(name)}
            for name, content in self.end.published.items()
            for line in content.splitlines()
        ]


class Witness:
    """Looks at a sink and a register; reads each file when it is first seen, and all of them at the end."""

    def __init__(self, sink: str, history: History) -> None:
        self._sink, self.history = Folder(sink).make(), history
        self._read: dict[str, bytes] = {}

    def look(self, when: str) -> Look:
        names = self._sink.names()
        if when in ("woken", "clean"):
            self._read = {}
        contents = {name: self._content(name) for name in names if not name.startswith(STAGING) or is_manifest(name)}
        seen = self.history.seen()
        return Look(
            when,
            {n: c for n, c in contents.items() if not n.startswith((STAGING, CONSUMED))},
            {n.partition("/")[2].replace("!", "/"): c for n, c in contents.items() if n.startswith(CONSUMED)},
            [n for n in names if n.startswith(STAGING)],
            {n: body(c) for n, c in contents.items() if n.startswith(STAGING)},
            seen[-1] if seen else None,
        )

    def _content(self, name: str) -> bytes:
        if name not in self._read:
            self._read[name] = self._sink.read(name)
        return self._read[name]


def generation_of(name: str) -> int:
    found = GENERATION.search(name)
    return int(found[1]) if found else -1


def is_manifest(name: str) -> bool:
    return name.endswith("/manifest.json")


def body(data: bytes) -> Mapping[str, Any]:
    """The JSON behind the line of header; a file that is cut short has none."""
    found: Mapping[str, Any] = json.loads(data.partition(b"\n")[2] or b"{}")
    return found
