"""One server process: started, known by pid and start time, killed, stopped, continued, and waited for.

A pid is only ever signalled after its start time was compared, so that a recycled pid is never taken for ours.
Nothing is ever looked up by name: ``end_marked`` finds processes by a variable that only ``launch`` sets.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# Every process of a sandbox carries its data folder in this variable: what a killed owner left behind is found by it.
MARK = "KDS_SANDBOX"
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class ServerError(Exception):
    """A server did not start or answer; the message ends with the tail of its log."""


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if there is none or only a zombie is left."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until ``condition()`` was true; TimeoutError naming ``what`` after ``seconds``."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
    return time.monotonic() - begin


def launch(
    command: Sequence[str], folder: Path, output: IO[bytes], user: pwd.struct_passwd | None = None
) -> subprocess.Popen[bytes]:
    """Starts a process of the server in ``folder``, marked with the sandbox's data folder, in its own session.

    Its own session keeps a terminal's Ctrl-C from it: whoever asked for the server ends it.  ``user``: as whom it
    runs, which only root may choose.
    """
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment[MARK] = str(folder.parent)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment,
        start_new_session=True,
        user=user and user.pw_uid,
        group=user and user.pw_gid,
        extra_groups=user and [],
    )


def marked(data: Path) -> list[int]:
    """Pids of the living processes that were launched for the sandbox of this data folder."""
    mark = f"{MARK}={data}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") and start_time(int(entry.name)) is not None:
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def end_marked(data: Path) -> None:
    """SIGKILL for whatever was launched for this data folder and still lives, whoever launched it."""
    for pid in marked(data):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@dataclass
class Daemon:
    """A process of a server.  ``answers`` makes one real request: false or any exception means not ready yet.

    Log and pid file are ``folder/<name>.log`` and ``.pid``: another process can take over the daemon through them.
    """

    name: str
    folder: Path
    command: Callable[[], Sequence[str]]
    answers: Callable[[], bool]
    deadline: float = 60.0
    user: pwd.struct_passwd | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def pid(self) -> int | None:
        """The pid of the living process, None if there is none."""
        if self._process is not None:
            self._process.poll()
        try:
            known = json.loads(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        return known["pid"] if start_time(known["pid"]) == known["start"] else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return (pid := self.pid) is not None and is_stopped(pid)

    def start(self) -> None:
        """Starts it unless it is alive; returns at once (see ``wait_ready``)."""
        if self.alive:
            return
        self._reap()
        with open(self.log, "ab") as log:
            self._process = launch(self.command(), self.folder, log, self.user)
        written = self._pid_file.with_suffix(".tmp")
        written.write_text(json.dumps({"pid": self._process.pid, "start": start_time(self._process.pid)}))
        written.replace(self._pid_file)

    def wait_ready(self, seconds: float | None = None) -> float:
        """Seconds until it answered a real request; ServerError with the log's tail if it dies or takes too long."""
        begin, limit = time.monotonic(), seconds or self.deadline
        while not self._answers():
            if not self.alive:
                raise ServerError(f"{self.name} ended while it started; {self._tail()}")
            if time.monotonic() - begin > limit:
                raise ServerError(f"{self.name} did not answer within {limit:g} s; {self._tail()}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def _answers(self) -> bool:
        try:
            return self.alive and self.answers()
        except Exception:  # a client's library may raise anything at a server that is half up
            return False

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self._end(signal.SIGKILL, 10)

    def terminate(self, seconds: float = 15) -> None:
        """SIGTERM, then SIGKILL if it is still there after ``seconds``."""
        self.cont()
        try:
            self._end(signal.SIGTERM, seconds)
        except TimeoutError:
            self.kill()

    def stop(self) -> None:
        """SIGSTOP: the process stays, its sockets stay open, nothing answers."""
        if self.signal(signal.SIGSTOP):
            wait_for(lambda: self.stopped or not self.alive, 10, f"{self.name} to stop")

    def cont(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def restart(self) -> float:
        """Kills what is left, starts anew on the same ports and data; seconds until it answered."""
        self.kill()
        begin = time.monotonic()
        self.start()
        self.wait_ready()
        return time.monotonic() - begin

    def signal(self, number: int) -> bool:
        """Sends a signal to the living process; false if there is none."""
        pid = self.pid
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def _end(self, number: int, seconds: float) -> None:
        if self.signal(number):
            wait_for(lambda: not self.alive, seconds, f"{self.name} to end")
        self._reap()
        self._pid_file.unlink(missing_ok=True)

    def _reap(self) -> None:
        """Takes the exit status of a child that has ended, which the kernel keeps until then."""
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _tail(self, lines: int = 25) -> str:
        try:
            text = self.log.read_text(errors="replace").splitlines()[-lines:]
        except OSError:
            text = []
        return f"end of {self.log}:\n" + "\n".join(text)
