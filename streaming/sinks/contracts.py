"""What a sink of the user's is given, must be, and says of itself.  Values, Protocols, two decorators; calls nothing.

`streaming.custom_sinks` hands the public ones on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

from offsets.stores.urls import SQL
from offsets.structs import EXACTLY_ONCE, OffsetRange
from streaming.records import Record

if TYPE_CHECKING:
    from pyspark import RDD
    from sqlalchemy import Connection

F = TypeVar("F", bound=Callable[..., Any])

Per = Literal["partition", "batch"]
PARTITION: Per = "partition"
BATCH: Per = "batch"
METHODS: Mapping[Per, str] = {PARTITION: "write_partition", BATCH: "write_batch"}
ARGUMENTS: Mapping[Per, str] = {PARTITION: "(offset_range, records)", BATCH: "(batch, rdd)"}
DECLARED = "__sink_declaration__"  # of a decorated function


@dataclass(frozen=True)
class SinkBatch:
    """One batch as a sink is told of it.

    Under exactly-once a batch that is written again has the number and the ranges that it had; under at-least-once it
    has its number and perhaps more ranges: what is to be recognised is to be recognised by `id`.
    """

    app: str  # uuid4 hex of the job's register, the same for ever
    generation: int  # one more with each reset
    epoch: int  # one more with each launch
    seq: int  # the batch's number: grows for ever, also across generations
    time_ms: int  # when it was planned, Unix epoch
    ranges: tuple[OffsetRange, ...]  # sorted by topic and partition; partition i of the RDD is the i-th

    @property
    def id(self) -> str:
        """32 hex digits: the same if, and only if, the same ranges are written again in the same generation."""
        named = "\n".join((self.app, str(self.generation), *map(str, sorted(self.ranges))))
        return hashlib.sha256(named.encode()).hexdigest()[:32]


class DirectSink(Protocol):
    """Made by calling the class without arguments: once per worker process, and on the driver for its declaration."""

    idempotent: bool
    """Writing the same range again changes nothing, for ever: per record, or as a whole per range."""

    def write_partition(self, range_: OffsetRange, records: Iterable[Record]) -> None:
        """Executor: writes the committed records of the range, in their order; when it returns they are durable.

        Must read `records` to the end, which tells nothing of `range_.until_offset`: offsets have holes.
        """
        ...


class BatchSink(Protocol):
    """Made by calling the class without arguments, once, on the driver."""

    idempotent: bool
    """Writing the same batch again changes nothing, for ever."""

    def write_batch(self, batch: SinkBatch, rdd: RDD[Record]) -> None:
        """Driver: writes the batch by actions on `rdd`; when it returns all of it is durable.

        Partition i of `rdd` is range i, its committed records in their order, read anew by each action unless cached.
        Every range must have been read to its end by some task.
        """
        ...


class TransactionalSink(Protocol):
    """Writes in the transaction that commits the offsets: both are there afterwards, or neither.

    Needs the offsets in a database that it can write to itself, and job.delivery.guarantee = exactly-once.  Made by
    calling the class without arguments: once per worker process, and once on the driver.
    """

    transactional: bool

    def write_partition(self, range_: OffsetRange, records: Iterable[Record]) -> Any:
        """Executor: stages the committed records of the range where nobody reads, under a name that is new each time.

        Any attempt may be repeated, or be late; the driver is given what Spark has accepted, one for each range: what
        this returns, which must pickle and be small, the name of what was staged perhaps.  Must read `records` to the
        end.
        """
        ...

    def commit_batch(self, connection: Connection, batch: SinkBatch, results: list[tuple[OffsetRange, Any]]) -> None:
        """Driver: makes what was staged visible, through SQLAlchemy's `connection` and by nothing else.

        The transaction has advanced the offsets already and holds their row locked; must neither commit it nor roll it
        back.  What this raises rolls back both.  May be called again, after a rollback.  `results`: each range and what
        write_partition has returned for it, by topic and partition.  Must find out itself if something that was
        staged is not there any more.
        """
        ...


class Declaration(NamedTuple):
    """What a sink says of itself."""

    idempotent: bool
    transactional: bool = False
    per: Per = PARTITION


def each_partition(*, idempotent: bool) -> Callable[[F], F]:
    """Makes a sink of `f(offset_range, records)`: called on executors, once for each range of each batch.

    `idempotent`: whether writing the same range again changes nothing.  The function itself stays as it is.
    """
    return _declaring(Declaration(idempotent, per=PARTITION))


def each_batch(*, idempotent: bool) -> Callable[[F], F]:
    """Makes a sink of `f(batch, rdd)`: called on the driver, once for each batch.  Else as `each_partition`."""
    return _declaring(Declaration(idempotent, per=BATCH))


def _declaring(declared: Declaration) -> Callable[[F], F]:
    def declare(function: F) -> F:
        setattr(function, DECLARED, declared)
        return function

    return declare


REFUSALS: Mapping[tuple[str, bool], str] = {
    (EXACTLY_ONCE, False): (
        "a crash would have the batch in flight written twice. Make writing a range again change nothing (an upsert "
        "by topic, partition and offset) and declare idempotent = True; or set job.delivery.guarantee = at-least-once, "
        "which may double the batch in flight, or at-most-once, which may lose it"
    ),
}
"""By guarantee and `idempotent`; what is not in here is allowed."""


def refusal(guarantee: str, declared: Declaration, store: str) -> str | None:
    """Why a sink that declares this cannot be used under the guarantee, and what to do; None if it can.  Pure.

    `store`: the URL of the job's offset store.
    """
    if declared.transactional:
        return _refused_transaction(guarantee, declared, store.partition(":")[0])
    if why := REFUSALS.get((guarantee, declared.idempotent)):
        return f"it declares idempotent = {declared.idempotent}, and job.delivery.guarantee = {guarantee}: {why}"
    return None


def _refused_transaction(guarantee: str, declared: Declaration, scheme: str) -> str | None:
    said = "it declares transactional = True"
    if declared.per != PARTITION:
        return f"{said}, which is for a class with {METHODS[PARTITION]} and commit_batch"
    if scheme not in SQL:
        known = " or ".join(f"{name}:" for name in SQL)
        return (
            f"{said}, but the offsets are in {scheme}:, which cannot share a transaction with it; set offsets.store to "
            f"the database that the sink writes to ({known}), or declare transactional = False"
        )
    if guarantee != EXACTLY_ONCE:
        return (
            f"{said}, and job.delivery.guarantee = {guarantee}: exactly-once costs no more with a transaction; leave "
            "the guarantee out, or declare transactional = False"
        )
    return None
