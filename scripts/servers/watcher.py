"""``python -m servers.watcher PID START DATA``: waits until the process has ended, then kills all of DATA's.

It needs nothing from its owner, so it works after a SIGKILL of the owner as well.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

from servers.daemon import end_marked, marked, start_time, wait_for

LAST_MOMENT_SECONDS = 1.0


def end_with_me(data: Path) -> subprocess.Popen[bytes]:
    """Starts a watcher of this process: whatever was launched for ``data`` does not outlive it.  Kill it when done."""
    arguments = [str(os.getpid()), str(start_time(os.getpid())), str(data)]
    return subprocess.Popen(
        [sys.executable, "-m", "servers.watcher", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(pid: int, start: int, data: Path) -> None:
    """Returns when nothing of the sandbox is left."""
    _wait(pid, start)
    end_marked(data)
    # What the owner forked in its last moment carries the mark only once it has become the server.
    time.sleep(LAST_MOMENT_SECONDS)
    end_marked(data)
    wait_for(lambda: not marked(data), 30, f"the processes of {data} to end")


def _wait(pid: int, start: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    if start_time(pid) == start:
        select.select([handle], [], [])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
