"""What a driver process does to itself at a failpoint.  Runs in the driver's own process, under the product.

A fault happens once, at the n-th hit of its point, and says so on stderr first.  A full disk is a real one: a limit of
the kernel on this process's files, or a space quota of the NameNode on a folder.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from kazoo.exceptions import ConnectionLoss

from offsets.errors import UnavailableError

LANDED = "fault landed:"


class UnexpectedError(Exception):
    """What nobody has foreseen."""


@dataclass(frozen=True)
class Fault:
    """`action` at the `hit`-th time that the process is at `point`; `folder`: the URL of what is full then."""

    point: str
    action: str
    hit: int = 1
    folder: str = ""

    def happen(self) -> None:
        os.write(2, f"{LANDED} {self.action} at {self.point}, hit {self.hit}\n".encode())
        ACTIONS[self.action](self)


class Trap:
    """The hook of `failpoints.arm`: lets the fault happen; `consume` is called behind every published file."""

    def __init__(self, fault: Fault | None, consume: Callable[[], None] | None = None) -> None:
        self._fault, self._consume, self._hits = fault, consume, 0
        self._guard = threading.Lock()  # files are published by several threads

    def __call__(self, name: str) -> None:
        with self._guard:
            if self._consume is not None and name == "publish.sent":
                self._consume()
            if self._fault is None or name != self._fault.point:
                return
            self._hits += 1
            due = self._hits == self._fault.hit
        if due:
            self._fault.happen()


def kill(fault: Fault) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def freeze(fault: Fault) -> None:
    """Returns when somebody has woken the process."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fail(fault: Fault) -> None:
    raise UnexpectedError(f"at {fault.point}")


def lose(fault: Fault) -> None:
    """What was asked for has been done; raises what is raised when its answer does not come."""
    if fault.point == "replace.sent":
        raise ConnectionLoss  # by kazoo, inside of the ZooKeeper store
    raise UnavailableError(f"no answer at {fault.point}")


def fill(fault: Fault) -> None:
    """No byte more goes into `folder`, until `empty`; on a local disk: of this process."""
    if fault.folder.startswith("file:"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    else:
        set_quota(fault.folder, 1)


def empty(folder: str) -> None:
    """There is room again."""
    if folder.startswith("webhdfs:"):
        set_quota(folder, -1)


def set_quota(folder: str, space: int) -> None:
    """A NameNode's space quota on the folder at a webhdfs: URL; -1: none."""
    parts = urlsplit(folder)
    params: Mapping[str, Any] = {"op": "SETQUOTA", "storagespacequota": space, "user.name": owner()}
    with requests.Session() as session:
        session.trust_env = False  # see plain.places.client
        session.put(f"http://{parts.netloc}/webhdfs/v1{parts.path}", params=params, timeout=60).raise_for_status()


def owner() -> str:
    """The user that these processes and the NameNode run as."""
    import getpass

    return getpass.getuser()


ACTIONS: Mapping[str, Callable[[Fault], None]] = {
    "kill": kill,
    "freeze": freeze,
    "raise": fail,
    "lose": lose,
    "full": fill,
}
