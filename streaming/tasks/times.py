"""Where a task's time goes: a clock between the steps of its pipeline, read once per chunk.  Executor; no decisions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Metered(Generic[T]):
    """Passes on what `items` yields; `seconds` is how long that was waited for, whatever is done with it."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        items, began = iter(self._items), time.perf_counter()
        for item in items:
            self.seconds += time.perf_counter() - began
            yield item
            began = time.perf_counter()
        self.seconds += time.perf_counter() - began


def in_steps(fetch: Metered[Any], transform: Metered[Any], whole: float) -> dict[str, float]:
    """Seconds by step of a task that took `whole`: it writes what `transform` makes of what `fetch` yields."""
    return {
        "fetch": fetch.seconds,
        "transform": transform.seconds - fetch.seconds,
        "write": whole - transform.seconds,
    }


def added_up(times: Iterable[Mapping[str, float]]) -> dict[str, int]:
    """Milliseconds of all tasks together, as `tasks.STEP`: tasks run side by side, so this may exceed the clock's."""
    total: Counter[str] = Counter()
    for each in times:
        total.update(each)
    return {f"tasks.{step}": round(seconds * 1000) for step, seconds in total.items()}
