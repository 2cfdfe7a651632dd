"""The pause switch: `_paused.json` in the sink's root.  While it is there, launches leave and continuous runs drain.

A person sets and lifts it; a run only ever reads it.  Whatever stands in the file, its being there decides.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from offsets.errors import DestinationExistsError
from offsets.filesystems import Filesystem
from streaming.sinks.names import PAUSED
from streaming.sinks.notes import write_once


@dataclass(frozen=True)
class Pause:
    """Who has paused the job, when (ISO 8601, UTC) and why."""

    who: str
    when: str
    why: str

    def __str__(self) -> str:
        return f"paused by {self.who} since {self.when}: {self.why}"


UNSIGNED = Pause("somebody", "some time", f"{PAUSED} does not say more")


def paused(filesystem: Filesystem) -> Pause | None:
    """The pause in force; UNSIGNED for a file that somebody made by hand."""
    try:
        data = filesystem.read(PAUSED)
    except FileNotFoundError:
        return None
    return _pause_of(data)


def set_pause(filesystem: Filesystem, pause: Pause) -> bool:
    """False if the job is paused already: that pause stays as it is.  Appears whole: a run looks at any moment."""
    try:
        write_once(filesystem, PAUSED, json.dumps(asdict(pause)).encode() + b"\n")
    except (DestinationExistsError, FileExistsError):  # the latter: lifted while we looked
        return False
    return True


def lift_pause(filesystem: Filesystem) -> Pause | None:
    """The pause that is over now; None if there was none."""
    if (lifted := paused(filesystem)) is not None:
        filesystem.delete(PAUSED)
    return lifted


def _pause_of(data: bytes) -> Pause:
    with suppress(ValueError, TypeError):
        found = Pause(**json.loads(data))
        if all(isinstance(part, str) for part in (found.who, found.when, found.why)):
            return found
    return UNSIGNED
