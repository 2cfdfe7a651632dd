"""What a store says of a write that found another register than it expected; the words are the same for all stores."""

from __future__ import annotations

from offsets.errors import FencedError, RegisterError
from offsets.stores.base import Versioned


def fenced(url: str, expected: Versioned | None) -> FencedError:
    """Somebody has written past `expected`."""
    was = f"version {expected.version}" if expected else "no register"
    return FencedError(
        f"the register in {url} was written by another driver: it is past {was}",
        "nothing to do: another run has taken over, and this one leaves",
    )


def other_register(url: str, what: str) -> RegisterError:
    """`expected` is not there, and nothing that could have come after it."""
    return RegisterError(
        f"the register in {url} is not the one that this run has read: {what}",
        "stop all runs on it; find out who did it, and mend the register before the next launch",
    )
