"""Named places at which a test may kill, freeze or cut off the process.  In production each costs one comparison.

Names are those of protocol.md: of each step `step.before`, `step.after` and, where it writes the register, `step.sent`
(done, reply lost), and the others that it lists.  Only `arm`, which nothing outside tests/ imports, gives them an
effect; no environment variable does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

from offsets.profiles import LAUNCH, PLAN, PROFILES, Step


class Failpoint(NamedTuple):
    """`who` passes it: driver, task, or the store that has it; `fills`: whether bytes go to a disk right behind it."""

    who: str
    fills: bool = False


_STEPS = dict.fromkeys(chain(LAUNCH, (PLAN,), *(profile.steps for profile in PROFILES.values())))
_FILLS = {"lock.before", "task.create", "task.mid", "task.close", "manifest.before", "publish.before", "log.before"}


def _of(who: str, *names: str) -> dict[str, Failpoint]:
    return {name: Failpoint(who, name in _FILLS) for name in names}


FAILPOINTS: Mapping[str, Failpoint] = {
    **_of("driver", *(name for step in _STEPS for name in step.failpoints if not name.startswith("task."))),
    **_of("task", *(name for step in _STEPS for name in step.also if name.startswith("task."))),
    **_of("driver", *(name for step in ("create", "reset") for name in Step(step, writes=True).failpoints)),
    **_of("driver", "publish.sent"),
    **_of("task", "fetch.first", "fetch.mid", "fetch.end"),
    **{"replace.before": Failpoint("store", fills=True), "replace.after": Failpoint("store")},
    **_of("zookeeper", "replace.sent"),
    **_of("log", "temp.after", "rename.before", "rename.sent", "rename.after", "relist.after"),
}
"""All that a run can pass.  `log`: the stores that are a numbered log."""
TOOLS = ("rebuild", "skip")
"""Transitions of a register that something has happened to: their failpoints are named alike."""
_KNOWN = frozenset(chain(FAILPOINTS, *(Step(name, writes=True).failpoints for name in TOOLS)))

_hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Says that the program is at `name`.  Returns at once unless a test has armed a hook."""
    if _hook is not None:
        if name not in _KNOWN:
            raise LookupError(f"failpoint {name} is not registered in offsets/failpoints.py")
        _hook(name)


@contextmanager
def passing(step: str) -> Iterator[None]:
    """A step that does not write the register: its failpoints before and after it, if it does not raise."""
    reach(f"{step}.before")
    yield
    reach(f"{step}.after")


def arm(hook: Callable[[str], None] | None) -> None:
    """For tests only: calls `hook(name)` at every failpoint from now on; None disarms."""
    global _hook
    _hook = hook
