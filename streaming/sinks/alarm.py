"""Executor: ends a sink that hangs, in the task's own process, and says at which line of the user's it hung.

A signal interrupts what Python waits for in its main thread, in which PySpark runs tasks.  Code that it cannot
interrupt, in a library's C perhaps, ends with its worker process soon afterwards, and its stack goes to stderr.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from streaming.transform.user_code import at_work

T = TypeVar("T")
MARGIN_SECONDS = 10.0  # for what a sink does on its way out, a rollback perhaps, before its process is ended


class Hung(BaseException):
    """Raised in the sink; no Exception, so that a sink that tries again after every error does not take it for one."""


class Alarm:
    """For one call of a sink.  `seconds`: how long it may take, less what it waits for in `waiting`; None: for ever."""

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.rang_at = ""  # file:line of the user's code, once it rang

    @contextmanager
    def set(self) -> Iterator[None]:
        """Main thread: raises Hung in the block when its time is over, and each time that it goes on for as long."""
        if self.seconds is None:
            yield
            return
        before, timer = signal.signal(signal.SIGALRM, self._ring), signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            try:
                self._start(self.seconds)
                yield
            finally:
                self._stop()  # which may be what it rings in
        finally:
            self._stop()
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, *timer)

    def waiting(self, items: Iterable[T]) -> Iterator[T]:
        """The items; while the next one is waited for the clock stands still."""
        iterator = iter(items)
        while True:
            left = self._stop() if self.seconds is not None else 0.0
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                if left:
                    self._start(left)
            yield item

    def _start(self, left: float) -> None:
        assert self.seconds is not None
        faulthandler.dump_traceback_later(left + MARGIN_SECONDS, exit=True, file=sys.__stderr__ or 2)
        signal.setitimer(signal.ITIMER_REAL, left, self.seconds)

    def _stop(self) -> float:
        """What was left; 0 if it was not running."""
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        return left

    def _ring(self, _: int, frame: FrameType | None) -> None:
        self.rang_at = self.rang_at or at_work(frame)
        raise Hung
