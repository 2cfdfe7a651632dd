"""Where a register can live in a test, and the processes and faults around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offsets import failpoints
from offsets.stores import open_store
from offsets.stores.base import OffsetStore, Versioned
from offsets.structs import Owner

CHILD = Path(__file__).with_name("store_child.py")
SESSION, DEADLINE = 4.0, 8.0  # seconds
SLACK = 5.0  # what a loaded machine may add to any of them
ME = Owner("my-host", os.getpid(), "2026-11-21T00:00:00Z", "me")
OTHER = Owner("other-host", 1, "2026-11-21T00:00:01Z", "other")


class Place:
    """One register.  Each `open` is another driver's own store on it, but for memory, which is one object."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keeps_older = not url.startswith("zookeeper:")  # states, see `OffsetStore.states`
        self._opened: list[OffsetStore] = []

    def open(self, url: str = "", deadline: float = DEADLINE, retain: int = 1000) -> OffsetStore:
        if self.url == "memory:" and self._opened:
            return self._opened[0]
        self._opened.append(open_store(url or self.url, SESSION, deadline, retain))
        return self._opened[-1]

    def close(self) -> None:
        for store in self._opened:
            store.close()


class Child:
    """A driver process, see store_child.py."""

    def __init__(self, url: str, action: str, failpoint: str = "") -> None:
        command = [sys.executable, str(CHILD), url, action, failpoint]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hears(self) -> str:
        """The next word it says; empty if it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait_stopped(self) -> None:
        status = Path(f"/proc/{self.process.pid}/stat")
        wait_for(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", 20)

    def end(self) -> int:
        self.process.kill()
        return self.wait()

    def wait(self) -> int:
        self.process.communicate()
        return self.process.returncode


@contextmanager
def child(url: str, action: str, failpoint: str = "") -> Iterator[Child]:
    started = Child(url, action, failpoint)
    try:
        yield started
    finally:
        started.signal(signal.SIGCONT)
        started.end()


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    """Seconds until it held; fails after the deadline."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def at(name: str, *actions: Callable[[], object]) -> Iterator[list[str]]:
    """Runs the actions at the first, second, ... hit of failpoint `name`; gives the names hit so far."""
    hits: list[str] = []

    def hook(hit: str) -> None:
        hits.append(hit)
        nth = hits.count(name)
        if hit == name and nth <= len(actions):
            actions[nth - 1]()

    failpoints.arm(hook)
    try:
        yield hits
    finally:
        failpoints.arm(None)


def created(store: OffsetStore, writes: int = 3) -> Versioned:
    """A register with a little history."""
    now = store.replace(None, b"state 0")
    for number in range(1, writes):
        now = store.replace(now, b"state %d" % number)
    return now
