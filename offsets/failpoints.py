"""Named places at which a test may kill, freeze or cut off the process.  In production each costs one comparison.

Names are those of protocol.md: `step.before`, `step.sent` (done, reply lost), `step.after`, and the listed others.
Only `arm`, which nothing outside tests/ imports, gives them an effect; no environment variable does.
"""

from __future__ import annotations

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Says that the program is at `name`.  Returns at once unless a test has armed a hook."""
    if _hook is not None:
        _hook(name)


def arm(hook: Callable[[str], None] | None) -> None:
    """For tests only: calls `hook(name)` at every failpoint from now on; None disarms."""
    global _hook
    _hook = hook
