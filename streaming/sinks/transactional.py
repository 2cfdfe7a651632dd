"""Driver: what a transactional sink does within the transaction that commits the offsets, and its garbage behind it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from offsets.errors import BatchError, StreamError
from offsets.stores.base import Work
from offsets.structs import OffsetRange
from streaming.sinks.contracts import SinkBatch
from streaming.sinks.current import BatchPlace
from streaming.sinks.direct import CORRECT, OPTION, opened
from streaming.tasks.result import TaskResult
from streaming.transform.user_code import raised

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOG = logging.getLogger(__name__)


class SinkTransaction:
    """`name`: the sink.class, a `TransactionalSink`.  Its instance is the driver's own."""

    def __init__(self, name: str) -> None:
        self._name, self._sink = name, opened(name).made

    def work(self, batch: SinkBatch, results: Iterable[TaskResult]) -> Work:
        """What the batch has yet to do.  BatchError, naming the line, for what commit_batch raises; see `Work`.

        What may pass, a broken connection or a deadlock, is the store's affair: it does all of it again, or gives up.
        """
        values = sorted(((r.range, r.value) for r in results), key=lambda each: each[0])

        def work(connection: Connection) -> None:
            try:
                returned = self._sink.commit_batch(connection, batch, list[tuple[OffsetRange, Any]](values))  # type: ignore[attr-defined]
            except (Exception, SystemExit) as e:
                if isinstance(e, StreamError) or _passing(e):
                    raise
                raise BatchError(f"{OPTION}: {raised(f'{self._name}.commit_batch', e)}", CORRECT) from e
            if returned is not None:
                said = f"{OPTION}: {self._name}.commit_batch returned a {type(returned).__name__}"
                raise BatchError(f"{said}, and must return nothing: the transaction was rolled back", CORRECT)

        return work

    def collect_garbage(self, batch: BatchPlace) -> None:
        """Rule G: what tasks of batches before this one have left.  Whatever is raised is logged, and it stays."""
        collect = getattr(self._sink, "collect_garbage", None)
        if collect is None:
            return
        try:
            collect(batch)
        except (Exception, SystemExit) as e:
            LOG.warning("what finished batches have staged stays until the next batch: %s", raised(self._name, e))


def _passing(error: BaseException) -> bool:
    from offsets.stores.sql_errors import passing  # only where the store is a database

    return passing(error)
