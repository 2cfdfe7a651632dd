"""How an error of ours crosses from an executor's Python to the driver's: as JSON in the exception's text.

Spark carries a task's failure to the driver as a Java exception whose message holds the Python traceback; types and
fields are lost on the way.  What a run must decide on (exit status, remedy) therefore travels in the text.
"""

from __future__ import annotations

import base64
import json
import platform
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from offsets.errors import BatchError, DataLossError, StreamError

_PAYLOAD = re.compile(r"\[\[stream-error ([A-Za-z0-9+/=]+)\]\]")
_STATUSES = (1, 2, 3, 69, 75)  # of StreamErrors: a record that a user's error quotes cannot end a run with 0


class TaskError(RuntimeError):
    """Raised in a task in place of a StreamError; its text holds the payload."""


class RemoteError(BatchError):
    """A StreamError as the driver sees it after it crossed: `name` is the original class."""

    def __init__(self, name: str, message: str, remedy: str, exit_status: int, retriable: bool) -> None:
        super().__init__(message, remedy)
        self.name, self.exit_status, self.retriable = name, exit_status, retriable


@contextmanager
def crossing() -> Iterator[None]:
    """Executor: lets a StreamError, or a package that is missing there, out of the block as a TaskError."""
    try:
        yield
    except StreamError as e:
        raise _crossing(e) from e
    except ImportError as e:
        raise _crossing(missing_package(e)) from e


def missing_package(error: ImportError) -> BatchError:
    """Executor: what this Python cannot import, and how to bring it there."""
    version = ".".join(map(str, sys.version_info[:3]))
    return BatchError(
        f"the executor's Python on {platform.node()} ({sys.executable}, {version}) lacks a package: {error}",
        "install it there, or let the job bring it along: scripts/pack_environment.py makes the archive for "
        "[spark] spark.archives (README: On a cluster)",
    )


def _crossing(error: StreamError) -> TaskError:
    fields = {
        "name": type(error).__name__,
        "message": str(error),
        "remedy": error.remedy,
        "exit_status": error.exit_status,
        "retriable": error.retriable,
    }
    payload = base64.b64encode(json.dumps(fields).encode()).decode()
    return TaskError(f"{error} [[stream-error {payload}]]")


def from_spark(error: BaseException) -> StreamError:
    """Driver: the StreamError that a failed Spark job stands for.  Never raises."""
    if isinstance(error, StreamError):
        return error
    unknown = f"the batch failed in Spark: {summary(text_of(error))}"
    return crossed(error) or BatchError(unknown, "run again with --debug for the whole trace")


def crossed(error: BaseException) -> StreamError | None:
    """Driver: the StreamError of a task that this error stands for, if it is one.  Never raises."""
    # The last one: messages quote records, and what stands in a record must not pass for an error of ours.
    if payloads := _PAYLOAD.findall(text_of(error)):
        with suppress(ValueError, TypeError):
            remote = RemoteError(**json.loads(base64.b64decode(payloads[-1])))
            return remote if remote.exit_status in _STATUSES else None
    return None


def is_data_loss(error: StreamError) -> bool:
    """Whether Kafka no longer has records that were to be read, as the driver or a task has found."""
    name = error.name if isinstance(error, RemoteError) else type(error).__name__
    return name == DataLossError.__name__


def text_of(error: BaseException) -> str:
    """What it says.  Never raises, whatever the str() of an exception of the user's does."""
    try:
        return str(error)
    except Exception as e:
        return f"(its str() raised {type(e).__name__})"


def summary(text: str) -> str:
    """The line of a Java or Python trace that says most: the first Python exception, else Java's own message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b", line)]
    chosen = next((line for line in python if not line.startswith(("org.", "java.", "py4j."))), None)
    java = next((line[2:] for line in lines if line.startswith(": ")), None)  # py4j puts its own line above it
    return (chosen or java or (lines[0] if lines else "no message"))[:500]


def trace(error: BaseException) -> str:
    """The whole trace, for --debug."""
    return "".join(traceback.format_exception(error))
