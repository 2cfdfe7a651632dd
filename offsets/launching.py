"""What a launch does with register and marker as it finds them: begin, go on, or stop for a person to decide.

A register and the sink's marker carry the uuid of one application.  One without the other, or two that differ, is
never a first launch: offsets at their start over a sink with data, or the reverse, would double or lose in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal

from offsets.errors import RegisterError
from offsets.protocol import phase
from offsets.structs import State


class Decision(Enum):
    """CREATE: first launch, write the register, then go on as MARK.  MARK: write the marker, then TAKE."""

    CREATE = "create"
    MARK = "mark"
    TAKE = "take"


Marker = Literal["absent", "same", "other"]
Found = Literal["absent", "created", "taken"]
LAUNCH: Mapping[tuple[Found, Marker], Decision | str] = {
    ("absent", "absent"): Decision.CREATE,
    ("created", "absent"): Decision.MARK,
    ("created", "same"): Decision.TAKE,
    ("taken", "same"): Decision.TAKE,
    ("absent", "other"): "register lost",
    ("taken", "absent"): "marker lost",
    ("created", "other"): "mismatch",
    ("taken", "other"): "mismatch",
}
"""Register (created: epoch 0) x marker -> what to do; a string names what is wrong."""


class LaunchError(RegisterError):
    """Register and marker do not belong together.  `kind` as in LAUNCH; the uuids are None where there is none."""

    def __init__(self, kind: str, message: str, remedy: str, register_app: str | None, marker_app: str | None) -> None:
        super().__init__(f"{kind}: {message}", remedy)
        self.kind, self.register_app, self.marker_app = kind, register_app, marker_app


def first_launch(
    register: State | None,
    marker: str | None,
    job: str,
    store: str = "[offsets] store",
    sink: str = "[sink] path",
) -> Decision:
    """What to do first.  Raises LaunchError, which names `store` and `sink` (their URLs) and the mending command."""
    decision = LAUNCH[_found(register), _marker(register, marker)]
    if isinstance(decision, Decision):
        return decision
    app = register.app if register else None
    message, remedy = _EXPLAINED[decision]
    names = {"job": job, "store": store, "sink": sink, "app": app, "marker": marker}
    raise LaunchError(decision, message.format(**names), remedy.format(**names), app, marker)


def _found(register: State | None) -> Found:
    if register is None:
        return "absent"
    return "created" if phase(register) == "created" else "taken"


def _marker(register: State | None, marker: str | None) -> Marker:
    if marker is None:
        return "absent"
    return "same" if register and register.app == marker else "other"


_EXPLAINED = {
    "register lost": (
        "{sink} belongs to application {marker}, but {store} holds no register",
        "if the store is the wrong one, correct [offsets] store in {job}; if another job writes to this sink, give "
        "this one a [sink] path of its own; only if the register is really gone, and no run of the job is alive, "
        "rebuild it from the batch log: run_stream.py {job} --recover register",
    ),
    "marker lost": (
        "{store} holds the register of application {app}, but {sink} carries no marker",
        "if the path is the wrong one, correct [sink] path in {job}; if another job keeps its offsets in this store, "
        "give this one an [offsets] store of its own in {job}; only if the marker is really gone, and the published "
        "files are there, write it anew: run_stream.py {job} --recover marker",
    ),
    "mismatch": (
        "{store} holds the register of application {app}, but {sink} belongs to application {marker}",
        "two jobs share one place: in {job} either correct [offsets] store, if {sink} is where this job writes, or "
        "correct [sink] path, if {store} is where this job keeps its offsets; nothing was written, and no --recover "
        "mends this",
    ),
}
