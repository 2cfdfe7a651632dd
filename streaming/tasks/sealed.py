"""A task that executors open inside the block that tells of errors: what they cannot import is said in one line.

Imports nothing but the standard library and pure modules of ours: executors without any package unpickle it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from streaming.tasks.errors import crossing

Task = Callable[[Iterable[Any]], Iterator[Any]]


class Sealed:
    """For `RDD.mapPartitions`: calls `task`, which is pickled only when Spark pickles this (broadcasts need that)."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self, items: Iterable[Any]) -> Iterator[Any]:
        return self._task(items)

    def __reduce__(self) -> tuple[type[_Letter], tuple[bytes]]:
        return _Letter, (pickle.dumps(self._task),)


class _Letter:
    """What a Sealed is on executors."""

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled

    def __call__(self, items: Iterable[Any]) -> Iterator[Any]:
        with crossing():
            task: Task = pickle.loads(self._pickled)
            yield from task(items)
