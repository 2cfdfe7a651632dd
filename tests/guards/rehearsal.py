"""Whole launches in the test's own process: all is real but Spark, so a test may act at any failpoint of a run."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

import streaming.run.batches
from offsets import failpoints
from streaming.commands.run_stream import main
from streaming.commands.show_offsets import main as show
from streaming.fetching import kept
from tests.crash.plain.driver import no_spark, run_batches
from tests.integration.jobs import Job, command_in

Act = Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """How a launch ended, and what it said."""

    status: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return f"exit {self.status}\n{self.stdout}{self.stderr}"

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return found

    def lines(self, level: str) -> list[str]:
        """The log lines of a level, without their time."""
        return [line.partition(f" {level} ")[2] for line in self.stderr.splitlines() if f" {level} " in line]


class Acts:
    """Does something at the first passage of each failpoint that is named; `raises` tells what went wrong there."""

    def __init__(self, acts: Mapping[str, Act]) -> None:
        self.left = dict(acts)

    def __call__(self, name: str) -> None:
        if act := self.left.pop(name, None):
            act()


@contextmanager
def rehearsed() -> Iterator[None]:
    """No Spark in this block; everything that a launch sets for its process is as before afterwards."""
    root, numbers = logging.getLogger(), (signal.SIGTERM, signal.SIGINT)
    handlers, level, signals = root.handlers[:], root.level, [signal.getsignal(n) for n in numbers]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming.run.batches, "spark", no_spark)
        patch.setattr(streaming.run.batches, "run_batches", run_batches)
        try:
            yield
        finally:
            failpoints.arm(None)
            root.handlers[:], root.level = handlers, level
            for number, handler in zip(numbers, signals, strict=True):
                signal.signal(number, handler)
            for source in kept._idle.values():
                source.close()
            kept._idle.clear()


def launch(job: Job, *options: str, at: Mapping[str, Act] = {}) -> Ended:
    """`run_stream.py JOB.cfg --available-now OPTIONS`, which does `at[failpoint]` at its first passage of each."""
    out, err, acts = StringIO(), StringIO(), Acts(at)
    with rehearsed(), redirect_stdout(out), redirect_stderr(err):
        failpoints.arm(acts)
        status = main("", [str(job.path), "--available-now", *options])
    ended = Ended(status, out.getvalue(), err.getvalue())
    assert not acts.left, f"never reached: {sorted(acts.left)}; {ended.said}"
    return ended


def landed_by(job: Job, *options: str) -> Ended:
    """A launch that ends well."""
    ended = launch(job, *options)
    assert ended.status == 0, ended.said
    return ended


def stopped(job: Job, status: int, at: Mapping[str, Act] = {}) -> str:
    """Launches; asserts that it stops with one line and leaves register and data as they were; returns the line."""
    before = job.register(), job.landed()
    ended = launch(job, at=at)
    assert ended.status == ended.summary["exitStatus"] == status, ended.said
    assert "Traceback" not in ended.said
    (line,) = ended.lines("ERROR")
    assert "remedy: " in line
    after = job.register()
    assert (after.topics, after.pending, after.seq) == (before[0].topics, before[0].pending, before[0].seq)
    assert job.landed() == before[1]
    return line


def obeyed(job: Job, line: str) -> Ended:
    """Types the command that the line ends with, which moves the offsets; the launch behind it ends well."""
    reset = job.operate("reset_offsets.py", *command_in(line, str(job.path), "reset_offsets.py"))
    assert reset.returncode == 0, reset.stdout + reset.stderr
    return landed_by(job)


def show_offsets(job: Job) -> dict[str, Any]:
    """What `show_offsets.py JOB.cfg --format json` prints."""
    out = StringIO()
    with rehearsed(), redirect_stdout(out):
        assert show("", [str(job.path), "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found
