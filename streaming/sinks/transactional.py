"""Driver: what a transactional sink does within the transaction that commits the offsets, and its garbage behind it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

from offsets.errors import BatchError, StreamError
from offsets.stores.base import Work
from offsets.structs import OffsetRange
from streaming.sinks.contracts import SinkBatch, TransactionalSink
from streaming.sinks.current import BatchPlace
from streaming.sinks.direct import CORRECT, OPTION, hung, opened, refuse_returned
from streaming.sinks.overdue import in_time
from streaming.tasks.result import TaskResult
from streaming.transform.user_code import raised

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOG = logging.getLogger(__name__)
TRIES = 10  # of one transaction: a database that ends it each time would do so for ever


class SinkTransaction:
    """`name`: the sink.class, a `TransactionalSink`.  `seconds` that commit_batch may take; None: any.  Driver."""

    def __init__(self, name: str, seconds: float | None = None) -> None:
        sink, self._seconds = opened(name), seconds
        self._made = cast("TransactionalSink", sink.made)
        declared = sink.declared._replace(transactional=False)  # nobody looks at what this one returns
        self._sink = sink._replace(name=f"{name}.commit_batch", call=self._made.commit_batch, declared=declared)

    def work(self, batch: SinkBatch, results: Iterable[TaskResult]) -> Work:
        """What the batch has yet to do.  BatchError, naming the line, for what commit_batch does wrong; see `Work`.

        What may pass, a broken connection or a deadlock, is the store's affair: it does all of it again, or gives up.
        """
        values: list[tuple[OffsetRange, Any]] = [(r.range, r.value) for r in results]
        values.sort(key=lambda each: each[0])
        ended: list[BaseException] = []

        def work(connection: Connection) -> None:
            if len(ended) == TRIES:
                raise self._given_up(ended[-1])
            try:
                with _kept_open(connection):
                    refuse_returned(self._sink, self._called(connection, batch, list(values)))
                    connection.exec_driver_sql("SELECT 1")  # refused if it has swallowed what ended the transaction
            except BaseException as e:  # of commit_batch, also asyncio's CancelledError: signals go to another thread
                if isinstance(e, StreamError):
                    raise
                if _passing(e):
                    ended.append(e)
                    raise
                raise BatchError(f"{OPTION}: {raised(self._sink.name, e)}", CORRECT) from e

        return work

    def _given_up(self, error: BaseException) -> BatchError:
        said = " ".join(str(getattr(error, "orig", error)).split())
        return BatchError(
            f"{OPTION}: the database has ended the transaction of {self._sink.name} {TRIES} times: {said:.300}",
            "see what it waits or works for so long in there, then launch again; nothing of the batch is committed",
        )

    def _called(self, *arguments: Any) -> Any:
        def late(place: str) -> BatchError:
            return hung(self._sink.name, "its transaction", self._seconds, place)

        return in_time(self._seconds, lambda: self._sink.call(*arguments), late)

    def collect_garbage(self, batch: BatchPlace) -> None:
        """Rule G: what tasks of batches before this one have left.  Whatever is raised is logged, and it stays."""
        collect = getattr(self._made, "collect_garbage", None)
        if collect is None:
            return
        try:
            collect(batch)
        except (Exception, SystemExit) as e:
            said = raised("collect_garbage", e)
            LOG.warning("what finished batches have staged stays until the next batch: %s", said)


@contextmanager
def _kept_open(connection: Connection) -> Iterator[None]:
    """Inside of the block the transaction cannot be ended: what came behind that would be apart from the offsets."""
    from sqlalchemy import event  # only where the store is a database

    def refuse(_: Connection) -> NoReturn:
        raise RuntimeError("the transaction is not commit_batch's to end: it neither commits nor rolls back")

    for name in ("commit", "rollback"):
        event.listen(connection, name, refuse)
    try:
        yield
    finally:
        for name in ("commit", "rollback"):
            event.remove(connection, name, refuse)


def _passing(error: BaseException) -> bool:
    from offsets.stores.sql_errors import may_pass

    return may_pass(error)
