"""Driver processes that start in a moment: the real main of a script, in a fork of a warm process, without Spark.

All but Spark is real.  What tests/crash/plain is for one tuple at a time, this is for any number of launches at once,
each with streams of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path

from offsets import failpoints
from servers.daemon import start_time, wait_for
from streaming.commands import reset_offsets, run_stream
from streaming.run import batches
from tests.crash.plain.driver import no_spark, run_batches
from tests.crash.plain.faults import Fault, Trap
from tests.crash.plain.zygote import die_with_parent
from tests.integration.jobs import SECONDS, Process

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", __name__, "kazoo.client", "hdfs", "confluent_kafka.admin", "psutil"])
Prelude = Callable[[], object]
MAINS = {"run_stream": run_stream.main, "reset_offsets": reset_offsets.main}


def drive(script: str, argv: Sequence[str], out: Path, err: Path, prelude: Prelude, go: Path | None) -> None:
    """The child: its streams go to files, then it is a driver like any other."""
    die_with_parent()
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    batches.spark, batches.run_batches = no_spark, run_batches  # type: ignore[assignment]
    prelude()
    if go is not None:
        wait_for(go.exists, 2 * SECONDS, "the word to go")
    status = MAINS[script]("", argv)
    sys.stdout.flush()
    os._exit(status)


def nothing() -> None:
    """No prelude."""


@dataclass(frozen=True)
class At:
    """A prelude: what happens at the `hit`-th time that the driver comes to a failpoint."""

    point: str
    action: str = "kill"  # or another one of tests.crash.plain.faults
    hit: int = 1

    def __call__(self) -> None:
        failpoints.arm(Trap(Fault(self.point, self.action, self.hit)))


class Forked:
    """A multiprocessing.Process with the words of a Popen, for several threads."""

    guard = threading.Lock()  # each start looks after all children, and a status can be read only once

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        with self.guard:
            process.start()
        self.pid = process.pid or 0

    @property
    def returncode(self) -> int | None:
        if start_time(self.pid) is not None:  # alive, and nobody is kept waiting for the guard
            return None
        with self.guard:
            return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, seconds: float = SECONDS) -> int | None:
        wait_for(lambda: self.returncode is not None, seconds, f"driver {self.pid} to end")
        return self.returncode

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


@dataclass
class Drivers:
    """The drivers of one test; `end` kills those that are left."""

    started: list[Process] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def start(
        self,
        job: Path,
        *arguments: str,
        prelude: Prelude = nothing,
        go: Path | None = None,
        script: str = "run_stream",
    ) -> Process:
        """`run_stream.py JOB.cfg ARGUMENTS`, or another script, not waited for; not before the file `go` is there."""
        name = f"driver-{next(self.numbers)}"
        out, err = job.parent / f"{name}.out", job.parent / f"{name}.err"
        forked = FORKS.Process(target=drive, args=(script, [str(job), *arguments], out, err, prelude, go), daemon=True)
        process = Process(Forked(forked), out, err)  # type: ignore[arg-type]
        self.started.append(process)
        return process

    def at_once(self, jobs: Sequence[Path], *arguments: str) -> list[Process]:
        """One of each, held back until all of them are there."""
        return self.released([lambda go, job=job: self.start(job, *arguments, go=go) for job in jobs], jobs[0].parent)

    def reset(self, job: Path, *arguments: str, go: Path | None = None) -> Process:
        """`reset_offsets.py JOB.cfg ARGUMENTS --execute`, not waited for."""
        return self.start(job, *arguments, "--execute", go=go, script="reset_offsets")

    def released(self, starts: Sequence[Callable[[Path], Process]], folder: Path) -> list[Process]:
        """What each starts, held back until all of them are there."""
        go = folder / f"go-{next(self.numbers)}"
        held = [start(go) for start in starts]
        wait_for(lambda: all(p.err.exists() for p in held), SECONDS, "the launches to be there")
        go.touch()
        return held

    def run(self, job: Path, prelude: Prelude = nothing) -> Process:
        """A run to the end offsets."""
        return self.start(job, "--available-now", prelude=prelude).wait()

    def end(self) -> None:
        for process in self.started:
            process.process.send_signal(signal.SIGKILL)
            process.wait()


def ended(processes: Sequence[Process]) -> list[Process]:
    """Those that have."""
    return [p for p in processes if p.process.poll() is not None]
