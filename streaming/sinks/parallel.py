"""Several file system requests at once, and patience with one that does not answer.  Knows nothing of batches."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

from offsets.errors import UnavailableError

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(width: int, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`function` of each item, up to `width` at a time.  Raises the first error; what has not begun then never does."""
    listed = list(items)
    if width == 1 or len(listed) < 2:
        return [function(item) for item in listed]
    pool = ThreadPoolExecutor(min(width, len(listed)))
    try:
        return list(pool.map(function, listed))
    finally:
        pool.shutdown(cancel_futures=True)


def patience(seconds: float, clock: Callable[[], float] = time.monotonic) -> Retrying:
    """Calls again on UnavailableError until `seconds` from now; all calls share that deadline.  Safe in threads.

    Only for what may be done twice.  Past the deadline it raises the last UnavailableError.
    """
    deadline = clock() + seconds
    return Retrying(
        retry=retry_if_exception_type(UnavailableError),
        stop=lambda _: clock() >= deadline,
        wait=wait_random_exponential(multiplier=0.1, max=1.0),
        reraise=True,
    )


def answered(url: str, seconds: float, action: Callable[[], R]) -> R:
    """What a first request to the sink at `url` gives; UnavailableError if it is not back after `seconds`."""
    late = UnavailableError(
        f"{url} did not answer within {seconds:g} s", "check sink.path and its servers, then launch again"
    )
    return within(seconds, action, late)


def within(seconds: float, action: Callable[[], R], late: UnavailableError) -> R:
    """What `action` returns or raises; raises `late` if it is not back after `seconds`.

    It is then left behind in a thread that does not keep the process: a hung server or mount may never answer.
    """
    outcomes: queue.SimpleQueue[tuple[R, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def act() -> None:
        try:
            outcomes.put((action(), None))
        except BaseException as e:
            outcomes.put((None, e))

    threading.Thread(target=act, name="within", daemon=True).start()
    try:
        returned, error = outcomes.get(timeout=seconds)
    except queue.Empty:
        raise late from None
    if error is not None:
        raise error
    return returned  # type: ignore[return-value]  # one of the two is what the action gave
