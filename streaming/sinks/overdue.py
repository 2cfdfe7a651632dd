"""Driver: calls a sink in a thread of its own, which nobody waits for when its time is over."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from offsets.errors import BatchError
from streaming.transform.user_code import at_work

T = TypeVar("T")
Run = Callable[[], None]


def daemon(run: Run) -> threading.Thread:
    """One that keeps no process alive."""
    return threading.Thread(target=run, daemon=True)


def in_time(
    seconds: float | None,
    call: Callable[[], T],
    late: Callable[[str], BatchError],
    thread_of: Callable[[Run], threading.Thread] = daemon,
) -> T:
    """What `call` returns or raises; raises `late(file:line of the user's code)` if that takes longer.

    In this thread if `seconds` is None.
    """
    if seconds is None:
        return call()
    answer: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as e:
            answer.set_exception(e)

    thread = thread_of(run)
    thread.start()
    try:
        return answer.result(seconds)
    except futures.TimeoutError:
        if answer.done():  # it is its own
            raise
        raise late(at_work(sys._current_frames().get(thread.ident or 0))) from None
