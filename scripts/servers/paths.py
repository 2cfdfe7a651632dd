"""Where downloads are kept between runs, and the lock that keeps concurrent runs from disturbing each other."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache for this project: ``$XDG_CACHE_HOME`` or ``~/.cache``, created if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base, "kafka-direct-streaming").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Waits until no other process holds the lock; a holder that dies, however, lets go of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove(folder: Path) -> None:
    """Deletes a folder and all in it; fine if it is not there."""
    shutil.rmtree(folder, ignore_errors=True)
