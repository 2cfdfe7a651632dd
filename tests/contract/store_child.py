"""A driver process that tests kill, stop and wake: `store_child.py URL ACTION [FAILPOINT]`, one word a line on stdout.

hold: takes the lock, says "held", lives until its stdin ends.  write: takes the lock, reads the register, says "ready",
and on a line of input replaces it and says how that ended.  die, sleep: replaces it, and at FAILPOINT sends itself
SIGKILL or SIGSTOP.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from offsets import failpoints
from offsets.stores import open_store
from offsets.stores.base import OffsetStore
from offsets.structs import Owner

ME = Owner("child-host", os.getpid(), "2026-11-20T00:00:00Z", "child")


def say(word: str) -> None:
    print(word, flush=True)


def replace(store: OffsetStore, state: bytes) -> None:
    try:
        store.replace(store.load(), state)
        say("done")
    except Exception as e:
        say(type(e).__name__)


def main(url: str, action: str, failpoint: str = "") -> None:
    store = open_store(url, session_timeout=4, deadline=8)
    if action in ("die", "sleep"):
        number = signal.SIGKILL if action == "die" else signal.SIGSTOP
        failpoints.arm(lambda name: os.kill(os.getpid(), number) if name == failpoint else None)
        return replace(store, b"the child's")
    with store.lock(ME, 5):
        if action == "hold":
            say("held")
            sys.stdin.read()
            return None
        seen = store.load()
        say("ready")
        sys.stdin.readline()
        try:
            store.replace(seen, b"the child's")
            say("done")
        except Exception as e:
            say(type(e).__name__)
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
