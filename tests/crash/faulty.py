"""A job's function whose module arms failpoints where it is imported: on the driver and on each Python worker.

`install` copies it beside a job file, from where every launch ships it; a copy knows the folder of its plan, since
Spark runs another copy of it on workers.  The plan names failpoints that kill or freeze the process that reaches them,
each once: who makes the fault's own file is the one that it hits.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from offsets import failpoints
from streaming.jobs import transactions
from streaming.records import Record
from streaming.rows import Routed

PLAN, HITS = "faults.json", "hits"


class Fault(NamedTuple):
    """The process that reaches `name` for the `nth` time sends itself this signal."""

    name: str
    nth: int = 1
    signal: str = "SIGKILL"


def parse(record: Record) -> Routed:
    """The demo's own function, under a name of this module: workers import it for that."""
    return transactions.parse(record)


def install(folder: Path) -> None:
    """Makes `faulty:parse` a function for job files in `folder`."""
    (folder / HITS).mkdir()
    source = Path(__file__).read_text()
    (folder / "faulty.py").write_text(f"{source}\n\narm(Path({str(folder)!r}))\n")


def arm(folder: Path) -> None:
    """From now on this process meets what is planned there."""
    failpoints.arm(Hook(folder))


def plan(folder: Path, faults: Sequence[Fault]) -> None:
    """What the launches from now on meet."""
    (folder / PLAN).write_text(json.dumps(faults))
    for mark in (folder / HITS).iterdir():
        mark.unlink()


def hits(folder: Path) -> list[str]:
    """The failpoints of the plan that did hit a process."""
    return sorted(mark.name for mark in (folder / HITS).iterdir())


class Hook:
    """For `failpoints.arm`; publishing reaches failpoints from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._guard = folder, Lock()
        self._faults = [Fault(*fault) for fault in json.loads((folder / PLAN).read_text())]
        self._reached: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        with self._guard:
            self._reached[name] += 1
            for fault in self._faults:
                if fault.name == name and self._reached[name] == fault.nth:
                    with suppress(FileExistsError):
                        (self._folder / HITS / name).touch(exist_ok=False)
                        os.kill(os.getpid(), getattr(signal, fault.signal))
