"""One span of time that all the steps of a call share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from offsets.errors import UnavailableError

PAUSE_SECONDS = 0.05  # between two attempts

T = TypeVar("T")


class Deadline:
    """`seconds` from now on, by a monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, never below 0."""
        return max(self._end - time.monotonic(), 0.0)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time inside the block does not count."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - began

    def patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` returns.  It may be asked again: it is, after each UnavailableError until the end."""
        while True:
            try:
                return ask()
            except UnavailableError:
                if not self.left():
                    raise
            time.sleep(min(PAUSE_SECONDS, self.left()))
