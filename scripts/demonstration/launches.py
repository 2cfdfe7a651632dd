"""Launches of the job as cron would make them, and what it takes to kill one in the middle of a batch.

Only processes that a Launch started, and their children, are ever signalled, by pid.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from offsets.codec import decode_state
from offsets.filesystems import Filesystem
from offsets.stores.base import OffsetStore
from offsets.structs import Pending, State
from servers.jvm import java_home

ROOT = Path(__file__).resolve().parent.parent.parent
LOOK_SECONDS = 0.001  # a batch is prepared for some 5 ms on a local disk and 50 ms on HDFS
FOREIGN = ("PYTHONPATH", "SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_DRIVER_PYTHON")


def environment(python: str = sys.executable) -> dict[str, str]:
    """An environment in which this venv's spark-submit finds its Java and its own pyspark, and nobody else's."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    path = os.pathsep.join([str(Path(python).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": python}


class Launch:
    """One `spark-submit SPARK_OPTIONS scripts/run_stream.py JOB.cfg OPTIONS`.

    Spark hands on both streams of its Python driver as its own stdout; that and the JVM's stderr go to `log`.
    """

    def __init__(
        self, job: Path, log: Path, *options: str, python: str = sys.executable, spark_options: Sequence[str] = ()
    ) -> None:
        submit = [str(Path(python).parent / "spark-submit"), *spark_options]
        self.log = log
        with log.open("ab") as stdout:
            self._process = subprocess.Popen(
                [*submit, str(ROOT / "scripts" / "run_stream.py"), str(job), *options],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                env=environment(python),
                start_new_session=True,
            )
        self._known: set[psutil.Process] = set()

    @property
    def pid(self) -> int:
        """spark-submit execs java: this is the JVM."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Every process of this launch that was ever seen and still lives, the JVM first."""
        with suppress(psutil.NoSuchProcess):
            jvm = psutil.Process(self.pid)
            self._known.update([jvm, *jvm.children(recursive=True)])
        return sorted((p for p in self._known if _lives(p)), key=lambda p: p.pid != self.pid)

    def find(self, victim: str) -> psutil.Process | None:
        """The Python driver, the JVM, or a Python worker that is now at work."""
        family = self.family()
        if victim == "jvm":
            return next((p for p in family if p.pid == self.pid), None)
        pythons = [p for p in family if p.pid != self.pid and "run_stream.py" in " ".join(_command(p))]
        if victim == "driver":
            return next(iter(pythons), None)
        daemons = [p.pid for p in family if "pyspark.daemon" in _command(p) and _parent(p) == self.pid]
        return next((p for p in family if _parent(p) in daemons), None)

    def wait(self, seconds: float = 120.0) -> int:
        """The exit status of spark-submit.  Raises subprocess.TimeoutExpired."""
        return self._process.wait(seconds)

    @property
    def output(self) -> str:
        """All that was printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON line that the run printed last.  Only after `wait`."""
        lines = [line for line in self.output.splitlines() if line.startswith('{"name"')]
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def end(self) -> None:
        """SIGKILL for all that is left of this launch, then waits for its end."""
        for process in self.family():
            _signal(process, signal.SIGKILL)
        self._process.wait()
        with suppress(TimeoutError):
            self.wait_gone(10)  # psutil's own waiting may raise FileNotFoundError for one that ends just now

    def wait_gone(self, seconds: float) -> float:
        """Seconds until no process of this launch was left, without any help.  Raises TimeoutError."""
        began = time.monotonic()
        while self.family() or self._process.poll() is None:
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"still alive after {seconds:.0f} s: {self.family()}")
            time.sleep(0.05)
        return time.monotonic() - began


@dataclass(frozen=True)
class Landing:
    """Where a SIGKILL landed: the batch that the register held as prepared after the process was dead."""

    victim: str
    pid: int
    seq: int
    pending: Pending


def register(store: OffsetStore) -> State | None:
    """The register as it is now."""
    now = store.load()
    return decode_state(now.state) if now else None


def in_flight(store: OffsetStore, sink: Filesystem) -> int | None:
    """The number of the batch that comes next, or is pending, if something of it lies in staging now."""
    state = register(store)
    staged = state is not None and sink.list(f"_staging/{state.epoch}/{state.seq}")
    return state.seq if state is not None and staged else None


def kill(launch: Launch, victim: str, moment: Callable[[], bool]) -> int | None:
    """Waits for `moment`, then SIGKILLs `victim`.  Its pid, or None if the launch ended before."""
    target = launch.find(victim)
    while launch.running:
        if target is None or not _lives(target):
            target = launch.find(victim)
        elif moment():
            _signal(target, signal.SIGKILL)
            return target.pid
        time.sleep(LOOK_SECONDS)
    return None


def kill_prepared(launch: Launch, store: OffsetStore, before: int, victims: Sequence[str]) -> Landing | None:
    """SIGKILLs `victims` as soon as the register shows a batch from number `before` on between prepare and commit.

    None if the commit was faster: such a kill does not count.  All of the launch is dead when this returns.  The first
    victim must be the driver: it would commit without its JVM.
    """

    def prepared() -> bool:
        state = register(store)
        return state is not None and state.pending is not None and state.seq >= before

    pid = kill(launch, victims[0], prepared)
    for other in filter(None, map(launch.find, victims[1:])):
        _signal(other, signal.SIGKILL)
    launch.wait_gone(15) if pid else launch.wait()
    state = register(store)
    if pid is None or state is None or state.pending is None:
        return None
    return Landing(" and ".join(victims), pid, state.seq, state.pending)


def end_all(launches: Sequence[Launch]) -> None:
    """Leaves no process of these launches behind."""
    for launch in launches:
        launch.end()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        command = []
    return command


def _parent(process: psutil.Process) -> int:
    try:
        parent: int = process.ppid()
    except psutil.NoSuchProcess:
        parent = 0
    return parent


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
