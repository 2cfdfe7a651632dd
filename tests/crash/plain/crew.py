"""Driver processes, started, seen frozen, woken and waited for: the harness's side of a zygote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from demonstration.launches import ROOT

from tests.crash.plain.faults import Fault

SECONDS = 300.0  # after which a driver hangs, and is killed


class Crew:
    """One zygote, the drivers it has forked, and what they have said.  For one thread at a time.

    Made by the main thread: the zygote dies with the thread that has started it.
    """

    def __init__(self) -> None:
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.plain.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])},
        )
        self._said, self._heard = b"", threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(
        self,
        job: str,
        fault: Fault | None = None,
        consumed: str = "",
        planted: str = "",
        more: Sequence[str] = ("--available-now",),
        script: str = "run_stream",
    ) -> int:
        """The pid of a new launch, or of another of the operators' scripts; `more`: arguments."""
        told = {"job": job, "fault": fault and asdict(fault), "consumed": consumed, "planted": planted, "more": more}
        told["script"] = script
        pid: int = self._ask("fork", told)
        return pid

    def wait(self, pid: int) -> int | None:
        """Exit status, minus the signal that has ended it, or None once it is frozen.  Kills one that hangs."""
        timer = threading.Timer(SECONDS, os.kill, (pid, signal.SIGKILL))
        timer.daemon = True
        timer.start()
        try:
            how: Mapping[str, int] = self._ask("wait", pid)
        finally:
            timer.cancel()
        with self._heard:
            mark = b"\0seen %d\n" % pid
            assert self._heard.wait_for(lambda: mark in self._said, SECONDS)
            self._said = self._said.replace(mark, b"", 1)
        return how.get("status", -how["signal"] if "signal" in how else None)

    def wake(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)

    def said(self) -> str:
        """What the drivers have said since the last time."""
        with self._heard:
            said, self._said = self._said, b""
        return said.decode(errors="replace")

    def close(self) -> None:
        """Ends the zygote, and so all that it has forked."""
        assert self._zygote.stdin is not None
        with suppress(OSError):
            self._zygote.stdin.close()
        self._zygote.wait(30)
        self._listener.join(30)
        for stream in (self._zygote.stdout, self._zygote.stderr):
            assert stream is not None
            stream.close()

    def _ask(self, command: str, argument: object) -> Any:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps([command, argument]).encode() + b"\n")
        self._zygote.stdin.flush()
        answer = self._zygote.stdout.readline()
        if not answer:
            raise RuntimeError(f"the zygote has died: {self.said()}")
        return json.loads(answer)

    def _listen(self) -> None:
        assert self._zygote.stderr is not None
        while said := os.read(self._zygote.stderr.fileno(), 1 << 16):
            with self._heard:
                self._said += said
                self._heard.notify_all()
