"""Neither half outlives the other: this process ends soon after the JVM it works with is gone.

The JVM already ends when its Python driver does.  The other way round nobody tells: SIGKILL or SIGTERM to spark-submit
leaves a Python driver that waits for ever.  Nothing is cleaned up here; the next launch finishes the batch.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

POLL_SECONDS = 0.5
EXIT_JVM_GONE = 1


def under_spark_submit() -> bool:
    """Whether a JVM has started this process, and not the other way round."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def parent_gone() -> Callable[[], bool]:
    """True once the process that is our parent now (under spark-submit: the JVM) has ended."""
    parent = os.getppid()
    return lambda: os.getppid() != parent


def child_gone(gateway: Any) -> Callable[[], bool]:
    """True once the JVM that this process started has ended: pyspark keeps its Popen object as `gateway.proc`."""
    return lambda: gateway.proc.poll() is not None


def exit_when(gone: Callable[[], bool]) -> None:
    """Ends this process within a second of `gone()` turning true, without finishing anything."""

    def watch() -> None:
        never = threading.Event()
        while not gone():
            never.wait(POLL_SECONDS)
        with suppress(OSError):  # under spark-submit stderr was a pipe to the JVM, and is broken now
            print("run_stream: the JVM is gone; the next launch finishes what is pending", file=sys.stderr, flush=True)
        os._exit(EXIT_JVM_GONE)

    threading.Thread(target=watch, name="jvm-watch", daemon=True).start()
