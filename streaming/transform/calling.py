"""Calls the job's function on a chunk's records, and finds those at which it raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from streaming.records import Message, Record, from_message
from streaming.transform.chunks import Chunk
from streaming.transform.user_code import raised

Reject = Callable[[Record, str, BaseException | None], None]
"""Told of a bad record, why it is bad, and by which error.  May raise to end the task."""

Results = tuple[Sequence[Any], Sequence[Any]]
"""Records, and what came of each."""

FAILURES = (Exception, SystemExit)  # sys.exit in a function would end the batch without a word of the record
_ONE_ROW = (tuple, str, dict, bytes)  # asked first: asking for an Iterator costs as much as many a function


class Calls(Protocol):
    """One way to come from messages to results."""

    def results(self, chunk: Sequence[Message], reject: Reject) -> Results: ...

    def alone(self, chunk: Sequence[Message], results: Results, reject: Reject) -> Results:
        """The same, each result of one record: how a bad one is told from its neighbours."""

    def unfit(self, error: BaseException) -> str:
        """How a row that cannot be written is told."""


class _Function:
    """`name`: how the job calls it."""

    def __init__(self, function: Callable[[Any], Any], name: str) -> None:
        self._function, self._name = function, name

    def unfit(self, error: BaseException) -> str:
        return f"{self._name} returned what cannot be written: {error}"


class RecordCalls(_Function):
    """The function of each record, once."""

    def results(self, chunk: Sequence[Message], reject: Reject) -> Results:
        function = self._function
        records, results = [], []
        for message in chunk:
            record = from_message(message)
            try:
                result = function(record)
                if not isinstance(result, _ONE_ROW) and isinstance(result, (list, Iterator)):
                    result = list(result)
            except ImportError:
                raise  # of the executor, and no record's fault
            except FAILURES as e:
                reject(record, raised(self._name, e), e)
                continue
            records.append(record)
            results.append(result)
        return records, results

    def alone(self, chunk: Sequence[Message], results: Results, reject: Reject) -> Results:
        return results


class ChunkCalls(_Function):
    """The function of whole chunks; if that fails, once more of each record alone."""

    def results(self, chunk: Sequence[Message], reject: Reject) -> Results:
        try:
            return [None], [self._call(chunk)]
        except ImportError:
            raise
        except FAILURES:
            return self._each(chunk, reject)

    def alone(self, chunk: Sequence[Message], results: Results, reject: Reject) -> Results:
        return self._each(chunk, reject) if results[0] == [None] else results

    def _each(self, chunk: Sequence[Message], reject: Reject) -> Results:
        records, results = [], []
        for message in chunk:
            record = from_message(message)
            try:
                results.append(self._call([message]))
            except ImportError:
                raise
            except FAILURES as e:
                reject(record, raised(self._name, e), e)
                continue
            records.append(record)
        return records, results

    def _call(self, messages: Sequence[Message]) -> Any:
        result = self._function(Chunk(messages))
        return list(result) if isinstance(result, (list, Iterator)) else result


class NoCalls:
    """Messages as they are."""

    def results(self, chunk: Sequence[Message], reject: Reject) -> Results:
        return chunk, chunk

    def alone(self, chunk: Sequence[Message], results: Results, reject: Reject) -> Results:
        return [from_message(message) for message in chunk], chunk

    def unfit(self, error: BaseException) -> str:
        return str(error)
