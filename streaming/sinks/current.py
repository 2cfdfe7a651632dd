"""Executor: which batch this thread's task works for, told to whoever writes for it below the user's own code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from streaming.sinks.names import StagingPlace


class BatchPlace(NamedTuple):
    """A batch of one job: `app` is the uuid4 hex of its register, `place` the batch as the driver has planned it."""

    app: str
    place: StagingPlace


_current: ContextVar[BatchPlace | None] = ContextVar("batch of this task", default=None)


@contextmanager
def working_for(batch: BatchPlace | None) -> Iterator[None]:
    """Inside of the block `current_batch` gives it."""
    token = _current.set(batch)
    try:
        yield
    finally:
        _current.reset(token)


def current_batch() -> BatchPlace:
    """Raises LookupError outside of a task."""
    if (batch := _current.get()) is None:
        raise LookupError("no task of a batch is running in this thread")
    return batch
