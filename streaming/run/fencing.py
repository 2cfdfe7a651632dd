"""What a driver says that another one has overtaken without its knowing.  Decides nothing: it has stopped already.

A driver that slept while another took over may first stumble over what that one did: staging that was swept, a batch
log that is ahead, a marker without the register that it had looked for too early.  Told as they look to it, such things
would send a person to mend what is in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from offsets.errors import FencedError, StreamError
from offsets.manager import OffsetManager


@contextmanager
def fencing_told(manager: OffsetManager) -> Iterator[None]:
    """Raises FencedError in place of any other StreamError if somebody has written the register meanwhile."""
    try:
        yield
    except FencedError:
        raise
    except StreamError as e:
        if overtaken(manager):
            told = f"another driver has taken over; this one noticed by: {e}"
            raise FencedError(told, "nothing to do: the other run goes on from here") from e
        raise


def overtaken(manager: OffsetManager) -> bool:
    """Whether the register was written by another since; False if it cannot be asked."""
    try:
        return manager.changed()
    except StreamError:
        return False
