"""Executes a reset by the commit protocol: lock, read, take, publish what is prepared, one compare-and-set.  Driver."""

from __future__ import annotations

from streaming.commands.places import Places
from streaming.resetting.values import Choose, Done


def execute(places: Places, choose: Choose, reason: str, force: bool = False) -> Done:
    """Begins the generation that `choose` chooses; `reason`: why, in a person's words, may be empty.

    Never a state between the old and the new one.  `force`: takes no lock, and so fences a run that is alive.

    Raises AlreadyRunningError (75) while a run holds the lock, RegisterError (3) where register and sink do not belong
    together or a pending batch cannot be published from here, FencedError (75), UnavailableError (69), and whatever
    `choose` raises.
    """
    raise NotImplementedError
