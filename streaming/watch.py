"""Neither half outlives the other: this process ends soon after the JVM it works with is gone.

The JVM already ends when its Python driver does.  The other way round nobody tells: SIGKILL or SIGTERM to spark-submit
leaves a Python driver that waits for ever.  Nothing is cleaned up here; the next launch finishes the batch.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

POLL_SECONDS = 0.5
EXIT_JVM_GONE = 1


def parent_changed() -> Callable[[], bool]:
    """True once the process that started this one is gone.  Under spark-submit that is the JVM itself."""
    parent = os.getppid()
    return lambda: os.getppid() != parent


def exit_when(gone: Callable[[], bool], leave: Callable[[int], None] = os._exit) -> None:
    """Ends this process within a second of `gone()` turning true, without finishing anything."""

    def watch() -> None:
        never = threading.Event()
        while not gone():
            never.wait(POLL_SECONDS)
        print("run_stream: the JVM is gone; the next launch finishes what is pending", file=sys.stderr, flush=True)
        leave(EXIT_JVM_GONE)

    threading.Thread(target=watch, name="jvm-watch", daemon=True).start()
