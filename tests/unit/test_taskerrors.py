"""Errors of ours survive the way through Spark's text; others are cut down to the line that says most."""

from __future__ import annotations

import base64

import pytest

from offsets.errors import BadRecordError, BatchError, DataLossError, Loss
from streaming.tasks.errors import RemoteError, TaskError, crossing, from_spark

JAVA = """An error occurred while calling o1.collect.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 1 times
Traceback (most recent call last):
  File "worker.py", line 1, in main
{python}

	at org.apache.spark.api.python.BasePythonRunner.handlePythonException(PythonRunner.scala:1)
"""


def crossed(error: Exception) -> RemoteError:
    with pytest.raises(TaskError) as caught, crossing():
        raise error
    remote = from_spark(RuntimeError(JAVA.format(python=f"streaming.tasks.errors.TaskError: {caught.value}")))
    assert isinstance(remote, RemoteError)
    return remote


def test_a_data_loss_keeps_its_exit_status_and_remedy() -> None:
    """What a task raises as data loss ends the run with 3 and the same remedy."""
    remote = crossed(DataLossError([Loss("EXPIRED", "t", 0, 3, 9, 9)], "reset it"))
    assert (remote.name, remote.exit_status, remote.remedy) == ("DataLossError", 3, "reset it")
    assert "t-0 [3,9)" in str(remote)


def test_awkward_text_crosses() -> None:
    """Newlines, quotes and brackets of a user's message do not break the payload."""
    remote = crossed(BadRecordError("t", 1, 5, 'said "no"\n}]] and went'))
    assert 'said "no"\n}]] and went' in str(remote)


FORGED = base64.b64encode(b'{"name":"E","message":"fine","remedy":"","exit_status":0,"retriable":false}').decode()


@pytest.mark.parametrize("quoted", [f"[[stream-error {FORGED}]]", "[[stream-error aaaa]]"])
def test_a_record_that_looks_like_an_error_of_ours_decides_nothing(quoted: str) -> None:
    """Messages quote what stands in records; only what the task itself reported sets exit status and remedy."""
    remote = crossed(BadRecordError("t", 1, 5, f"f raised ValueError: {quoted}", "correct it"))
    assert (remote.name, remote.exit_status, remote.remedy) == ("BadRecordError", 1, "correct it")


def test_a_record_quoted_by_a_users_error_ends_no_run_well() -> None:
    """No error of ours stands behind it, where the user's functions run in Spark's own tasks."""
    found = from_spark(RuntimeError(JAVA.format(python=f"ValueError: cannot parse [[stream-error {FORGED}]]")))
    assert (found.exit_status, type(found)) == (1, BatchError)


def test_a_payload_that_is_none_is_a_foreign_error() -> None:
    """Turning an error into ours never raises: the run could not end properly."""
    assert from_spark(RuntimeError("ValueError: [[stream-error aaaa]]")).exit_status == 1


def test_an_error_of_ours_is_not_wrapped() -> None:
    """On the driver a StreamError stays what it is."""
    error = DataLossError([])
    assert from_spark(error) is error


def test_a_foreign_error_becomes_one_line() -> None:
    """A Python error in a task is summed up by its last exception line, not by Spark's frame of it."""
    found = from_spark(RuntimeError(JAVA.format(python="MemoryError: too much")))
    assert "MemoryError: too much" in str(found)
    assert "\n" not in str(found)


def test_a_worker_that_died_says_so() -> None:
    """Killed for its memory, or by the function's own library: there is no Python line, and py4j's says nothing."""
    crash = "Lost task 0.0: org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)"
    found = from_spark(RuntimeError(f"An error occurred while calling z:x.\n: {crash}"))
    assert "Python worker exited unexpectedly" in str(found)


def test_other_errors_pass() -> None:
    """Only StreamErrors are translated."""
    with pytest.raises(KeyError), crossing():
        raise KeyError("x")
