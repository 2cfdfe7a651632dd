"""A fresh Python that has imported the product once and forks a driver for each command; it never makes a client.

A line of JSON on stdin is `["fork", {...}]`, answered by the driver's pid, or `["wait", pid]`, answered by how it is:
`{"stopped": true}`, `{"status": n}` or `{"signal": n}`.  Drivers die with their zygote, and that when stdin ends.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import threading
from typing import Any

import offsets.filesystems.webhdfs
import offsets.stores.zookeeper_store
import streaming.commands.reset_offsets
import streaming.commands.run_stream
import streaming.fetching.librdkafka
import streaming.formats
import tests.crash.plain.function
from tests.crash.plain import driver

PRELOADED = (offsets.filesystems.webhdfs, offsets.stores.zookeeper_store, streaming.fetching.librdkafka)
PRELOADED += (streaming.formats, tests.crash.plain.function)
PRELOADED += (streaming.commands.run_stream, streaming.commands.reset_offsets)
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def seen(pid: int) -> bytes:
    return b"\0seen %d\n" % pid


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def fork(told: dict[str, Any]) -> int:
    if pid := os.fork():
        return pid
    die_with_parent()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    driver.run(told)
    raise AssertionError


def wait(pid: int) -> dict[str, Any]:
    _, how = os.waitpid(pid, os.WUNTRACED)
    os.write(2, seen(pid))  # behind all that the driver has said
    if os.WIFSTOPPED(how):
        return {"stopped": True}
    return {"signal": os.WTERMSIG(how)} if os.WIFSIGNALED(how) else {"status": os.WEXITSTATUS(how)}


def serve() -> None:
    for line in sys.stdin:
        command, argument = json.loads(line)
        answer = fork(argument) if command == "fork" else wait(argument)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    die_with_parent()
    assert threading.active_count() == 1, "a fork would lose a thread"
    gc.freeze()
    serve()
