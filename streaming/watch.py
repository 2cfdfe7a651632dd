"""Neither half outlives the other: this process ends soon after the JVM it works with is gone.

The JVM already ends when its Python driver does.  The other way round nobody tells: SIGKILL or SIGTERM to spark-submit
leaves a Python driver that waits for ever.  Nothing is cleaned up here; the next launch finishes the batch.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.5
EXIT_JVM_GONE = 1


def jvm_gone(gateway: Any) -> Callable[[], bool]:
    """True once the JVM behind a py4j gateway has ended.

    Under spark-submit the JVM started this process: its pid is our parent's, until it dies.  Otherwise this process
    started the JVM, and pyspark keeps the Popen object as `gateway.proc`.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        parent = os.getppid()
        return lambda: os.getppid() != parent
    return lambda: gateway.proc.poll() is not None


def exit_when(gone: Callable[[], bool], leave: Callable[[int], None] = os._exit) -> None:
    """Ends this process within a second of `gone()` turning true, without finishing anything."""

    def watch() -> None:
        never = threading.Event()
        while not gone():
            never.wait(POLL_SECONDS)
        print("run_stream: the JVM is gone; the next launch finishes what is pending", file=sys.stderr, flush=True)
        leave(EXIT_JVM_GONE)

    threading.Thread(target=watch, name="jvm-watch", daemon=True).start()
