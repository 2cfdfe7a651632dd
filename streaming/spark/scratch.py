"""The driver's scratch folder of one run, and those that killed drivers left on this machine.

A folder's driver holds a lock on it, which the kernel frees with the process: whose lock is free is dead.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SETTLED_SECONDS = 60.0  # a folder younger than that may be one that its driver is about to lock


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, gone with the block; first takes away what dead drivers of this user and machine have left."""
    # The machine's name is in it: on a disk that several share, another one's locks may not be seen.
    prefix = f"kafka-direct-{socket.gethostname()}-"
    remove_abandoned(Path(tempfile.gettempdir()), prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # where no locks are, nobody can take it for abandoned either
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(folder)
        finally:
            os.close(fd)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Deletes this user's folders below `parent` that begin so, are settled and that nobody has locked."""
    with suppress(OSError):
        for folder in parent.glob(f"{prefix}*"):
            with suppress(OSError):
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(fd)
        if found.st_uid == os.getuid() and found.st_mtime < time.time() - SETTLED_SECONDS:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its driver lives
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(fd)
