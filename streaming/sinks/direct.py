"""Direct sinks: classes of the user's that are given records, and what each declares against the job's guarantee.

A staged file sink is exactly once whatever its functions do.  Of a class that writes somewhere itself only its author
knows what a second write does: so it declares it, and a guarantee that needs more is refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from offsets.errors import BatchError, ConfigError
from offsets.structs import EXACTLY_ONCE, OffsetRange
from streaming.records import Record
from streaming.transform.user_code import load, raised

OPTION = "sink.class"
CORRECT = "correct the sink, or what it writes to; then launch again"


class DirectSink(Protocol):
    """Made by calling the class without arguments: once per worker process, and on the driver for its declaration.

    It may also declare `transactional = True`: it commits the offsets in one transaction with what it writes.
    """

    idempotent: bool
    """Writing the same range again changes nothing, for ever: per record, or as a whole per range."""

    def write_partition(self, range_: OffsetRange, records: Iterable[Record]) -> None:
        """Executor: writes the committed records of the range, in their order; when it returns they are durable.

        Must read `records` to the end, which tells nothing of `range_.until_offset`: offsets have holes.
        """
        ...


class Declaration(NamedTuple):
    """What a sink says of itself."""

    idempotent: bool
    transactional: bool = False


REFUSALS: Mapping[tuple[str, Declaration], str] = {
    (EXACTLY_ONCE, Declaration(idempotent=False)): (
        "a crash would have the batch in flight written twice. Make writing a range again change nothing (an upsert "
        "by topic, partition and offset) and declare idempotent = True; or set job.delivery.guarantee = at-least-once, "
        "which may double the batch in flight, or at-most-once, which may lose it"
    ),
}
"""By guarantee and declaration; what is not in here is allowed."""
NO_TRANSACTION = (
    "it declares transactional = True, but no offset store is a database that could share a transaction with it; leave "
    "that out, and declare whether it is idempotent"
)


def refusal(guarantee: str, declared: Declaration) -> str | None:
    """Why a sink that declares this cannot be used under the guarantee, and what to do; None if it can.  Pure."""
    if declared.transactional:
        return NO_TRANSACTION
    if why := REFUSALS.get((guarantee, declared)):
        return f"it declares idempotent = {declared.idempotent}, and job.delivery.guarantee = {guarantee}: {why}"
    return None


@lru_cache(maxsize=1)
def declaration(name: str) -> Declaration:
    """Driver: what the class `module:Class` declares.  Raises ConfigError if it is no direct sink, saying why."""
    made = load(OPTION, name)
    if not isinstance(made, type):
        raise refused(name, "is no class")
    try:
        sink = made()
    except (Exception, SystemExit) as e:
        raise refused(name, f"called without arguments, {raised(name, e)}") from e
    if not callable(getattr(sink, "write_partition", None)):
        raise refused(name, "has no method write_partition(range, records)")
    return Declaration(_declared(name, sink, "idempotent"), _declared(name, sink, "transactional", False))


def _declared(name: str, sink: object, field: str, default: bool | None = None) -> bool:
    value: object = getattr(sink, field, default)
    if not isinstance(value, bool):
        found = "" if value is None else f", it is {value!r}"
        raise refused(name, f"must declare {field} = True or False{found}")
    return value


def refused(name: str, why: str) -> ConfigError:
    """What is wrong with sink.class = `name`."""
    return ConfigError([f"{OPTION} = {name}: {why}"], "see README, Direct sinks; nothing was connected to")


@lru_cache(maxsize=1)
def on_worker(name: str) -> DirectSink:
    """Executor: this process's instance of the class.  Raises BatchError naming the line at which it raised."""
    made: DirectSink = _told(name, load(OPTION, name))
    return made


def write(name: str, range_: OffsetRange, records: Iterable[Record]) -> None:
    """Executor: gives the sink a range.  BatchError for what it raises; an error of the records' own goes through."""
    sink, fetched = on_worker(name), _Fetched(records)
    try:
        _told(f"{name}.write_partition", sink.write_partition, range_, fetched)
    except Exception:
        if fetched.error is None:
            raise
    if fetched.error is not None:  # whatever the sink has made of it
        raise fetched.error
    if not fetched.ended:
        told = f"{OPTION}: {name}.write_partition returned before it had read all records of {range_}"
        raise BatchError(told, "let it read them to the end, also those that it does not want")


def _told(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except ImportError:
        raise  # of the executor, and told as such
    except (Exception, SystemExit) as e:
        raise BatchError(f"{OPTION}: {raised(name, e)}", CORRECT) from e


class _Fetched:
    """The records as the sink is given them: knows whether it came to their end, or what kept it from it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = iter(records)
        self.ended = False
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        try:
            return next(self._records)
        except StopIteration:
            self.ended = True
            raise
        except Exception as e:
            self.error = e
            raise
