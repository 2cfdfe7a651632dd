"""A driver process that tests kill, stop and wake: `store_child.py URL ACTION [FAILPOINT]`, one word a line on stdout.

hold: takes the lock, says "held", lives until its stdin ends.  write: takes the lock, reads the register, says "ready",
and on a line of input replaces it and says how that ended.  die, sleep: replaces it, and at FAILPOINT sends itself
SIGKILL or SIGSTOP.  within: stops itself in the work within the transaction, which has put a row into table FAILPOINT.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from offsets import failpoints
from offsets.stores import open_store
from offsets.stores.base import OffsetStore, TransactionalStore
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


def replace_within(store: TransactionalStore, table: str) -> None:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql(f"INSERT INTO {table} VALUES (1)")
        os.kill(os.getpid(), signal.SIGSTOP)

    try:
        store.replace_within(store.load(), b"the child's", work)
        say("done")
    except Exception as e:
        say(type(e).__name__)


def main(url: str, action: str, failpoint: str = "") -> None:
    store = open_store(url, session_timeout=4, deadline=8)
    if action in ("die", "sleep"):
        number = signal.SIGKILL if action == "die" else signal.SIGSTOP
        failpoints.arm(lambda name: os.kill(os.getpid(), number) if name == failpoint else None)
        return replace(store, b"the child's")
    if action == "within":
        return replace_within(store, failpoint)
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
