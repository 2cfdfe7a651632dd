"""Direct sinks: how the user's class or function is found, checked and called.

A staged file sink is exactly once whatever its functions do.  Of code that writes somewhere itself only its author
knows what a second write does: so it declares it, and a guarantee that needs more is refused before anything runs.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from offsets.errors import BatchError, ConfigError, StreamError
from offsets.structs import OffsetRange
from streaming.records import Record
from streaming.sinks.alarm import Alarm, Hung
from streaming.sinks.contracts import ARGUMENTS, DECLARED, METHODS, Declaration, Per, refusal
from streaming.transform.user_code import lies_at, load, raised, refused_arguments

__all__ = ["Declaration", "Sink", "declaration", "on_worker", "refusal", "refused", "write"]
OPTION = "sink.class"
COMMIT_ARGUMENTS = "(connection, batch, results)"
TIMEOUT = "sink.timeout.ms"
CORRECT = "correct the sink, or what it writes to; then launch again"


class Sink(NamedTuple):
    """The user's sink in this process.  `name`: of what is called, for messages: module:Class.method or a function."""

    name: str
    call: Callable[..., Any]
    declared: Declaration
    made: object  # the instance of the class, or the function


@lru_cache(maxsize=1)
def opened(name: str) -> Sink:
    """What sink.class = `name` names, made once in each process.  Raises ConfigError if it is no sink, saying why."""
    named = load(OPTION, name)
    sink = _of_class(name, named) if isinstance(named, type) else _of_function(name, named)
    if (why := _refused_call(sink.call)) is not None:
        raise refused(name, f"{sink.name} {why}; it is called with {ARGUMENTS[sink.declared.per]}, returns nothing")
    return sink


def _of_class(name: str, named: type) -> Sink:
    try:
        made = named()
    except ImportError:
        raise  # of the executor, and told as such
    except (Exception, SystemExit) as e:
        raise refused(name, f"called without arguments, {raised(name, e)}") from e
    per, transactional = _granularity(name, made), _declared(name, made, "transactional", False)
    if transactional:
        _check_transaction(name, made)
    declared = Declaration(_declared(name, made, "idempotent", False if transactional else None), transactional, per)
    return Sink(f"{name}.{METHODS[per]}", getattr(made, METHODS[per]), declared, made)


def _granularity(name: str, made: object) -> Per:
    has = [per for per, method in METHODS.items() if callable(getattr(made, method, None))]
    if len(has) != 1:
        wanted = " or ".join(METHODS[per] + ARGUMENTS[per] for per in METHODS)
        raise refused(name, f"has no method {wanted}" if not has else f"has both: {wanted}; only one can be meant")
    return has[0]


def _of_function(name: str, named: Callable[..., Any]) -> Sink:
    declared = getattr(named, DECLARED, None)
    if not isinstance(declared, Declaration):
        raise refused(name, "is no class, and no function decorated by each_partition or each_batch")
    if not isinstance(declared.idempotent, bool):
        raise refused(name, f"must declare idempotent = True or False, it is {declared.idempotent!r}")
    return Sink(name, named, declared, named)


def _check_transaction(name: str, made: object) -> None:
    commit = getattr(made, "commit_batch", None)
    why = _refused_call(commit, 3) if callable(commit) else "is missing"
    if why is not None:
        raise refused(name, f"transactional = True: {name}.commit_batch {why}; it is called with {COMMIT_ARGUMENTS}")


def _declared(name: str, made: object, field: str, default: bool | None = None) -> bool:
    value: object = getattr(made, field, default)
    if not isinstance(value, bool):
        found = "" if value is None else f", it is {value!r}"
        raise refused(name, f"must declare {field} = True or False{found}")
    return value


def _refused_call(function: Callable[..., Any], arguments: int = 2) -> str | None:
    """Why it cannot be called as it will be: also what would return at once, without having run."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"has a yield, so nothing of it would run, at {lies_at(function)}"
    if inspect.iscoroutinefunction(function):
        return f"is async, so nothing of it would run, at {lies_at(function)}"
    return refused_arguments(function, arguments)


def declaration(name: str, alarm: Alarm | None = None) -> Declaration:
    """Driver: what the sink declares.  Raises ConfigError if it is none, or cannot be made, saying why."""
    alarm = alarm or Alarm()
    try:
        with alarm.set():
            return opened(name).declared
    except ImportError as e:
        raise refused(name, f"called without arguments, {raised(name, e)}") from e
    except Hung:
        told = f"was not made within {alarm.seconds:g} s ({TIMEOUT}): it was at {alarm.rang_at}"
        raise refused(name, told) from None


def refused(name: str, why: str) -> ConfigError:
    """What is wrong with sink.class = `name`."""
    return ConfigError([f"{OPTION} = {name}: {why}"], "see README, Direct sinks; nothing was connected to")


def on_worker(name: str) -> Sink:
    """Executor: this process's instance of the sink.  Raises BatchError naming the line at which it raised."""
    try:
        return opened(name)
    except ConfigError as e:
        if isinstance(e.__cause__, ImportError):
            raise e.__cause__ from None  # of the executor, and told as such: the driver could import it
        raise BatchError(str(e), CORRECT) from e


def write(name: str, range_: OffsetRange, records: Iterable[Record], alarm: Alarm | None = None) -> Any:
    """Executor: gives the sink a range; what it returns.

    BatchError for what the sink raises, for one that hangs, and for what it returns although it shares no transaction;
    an error of the records' own goes through.
    """
    fetched, alarm = _Fetched(records), alarm or Alarm()
    value = None
    try:
        with alarm.set():
            value = told(on_worker(name), range_, fetched)
    except (Exception, Hung):
        if fetched.error is None and not alarm.rang_at:
            raise
    if fetched.error is not None:  # whatever the sink has made of it
        raise fetched.error
    if alarm.rang_at:
        raise hung(name, str(range_), alarm.seconds, alarm.rang_at)
    sink = on_worker(name)
    refuse_returned(sink, value)
    if not fetched.ended:
        said = f"{OPTION}: {sink.name} returned before it had read all records of {range_}"
        raise BatchError(said, "let it read them to the end, also those that it does not want")
    return value


def told(sink: Sink, *arguments: Any) -> Any:
    """What the sink returns; BatchError with its line for what it raises."""
    try:
        return sink.call(*arguments)
    except (ImportError, StreamError):
        raise  # of the executor, and told as such; what a sink of ours has told already
    except Hung:
        raise
    except BaseException as e:  # also asyncio's CancelledError, of which nobody above would know whose it was
        raise BatchError(f"{OPTION}: {raised(sink.name, e)}", CORRECT) from e


def hung(name: str, what: str, seconds: float | None, place: str) -> BatchError:
    """The sink was not done with `what` in time."""
    said = f"{OPTION}: {name} was not done with {what} within {seconds:g} s ({TIMEOUT}): it was at {place}"
    return BatchError(said, f"see what it waits for there, or raise {TIMEOUT}; then launch again")


def refuse_returned(sink: Sink, value: object) -> None:
    """Raises BatchError for a value, which nobody would look at: perhaps the sink believes that somebody does.

    Of a transactional sink somebody does, on the driver: then for one that cannot go there.
    """
    if sink.declared.transactional:
        _refuse_unpicklable(sink, value)
        return
    if value is None:
        return
    unrun = "nothing of it has run; " * (inspect.isgenerator(value) or inspect.isawaitable(value))
    said = f"{OPTION}: {sink.name} returned a {type(value).__name__}, and must return nothing: {unrun}it lies at "
    raise BatchError(said + lies_at(sink.call), "let it write before it returns, and return None; then launch again")


def _refuse_unpicklable(sink: Sink, value: object) -> None:
    """Raises BatchError for what cannot go to the driver: Spark would not say whose it was."""
    try:
        pickle.dumps(value)
    except Exception as e:
        said = f"{OPTION}: {sink.name} returned a {type(value).__name__} that cannot be pickled ({e}): it lies at "
        remedy = "let it return the name of what it has staged, or other plain values; then launch again"
        raise BatchError(said + lies_at(sink.call), remedy) from e


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
