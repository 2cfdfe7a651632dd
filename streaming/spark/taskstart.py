"""Keeps the start of a Python task cheap.  Changes nothing that a program could notice but the time.

Before each task PySpark up to 4.2 calls `importlib.invalidate_caches()`, and each zipimporter that is cached then reads
its archive's directory anew: some 50 ms with pyspark.zip on the path.  And over TCP each wave of tasks waits for about
40 ms in the kernel; Spark 4.1 and newer can use sockets of the file system instead.
"""

from __future__ import annotations

import sys
import zipimport
from pathlib import Path

SOCKET_PATH_MAX = 107  # bytes, in Linux
SOCKET_NAME_MAX = 48  # what Spark and PySpark put below the folder


def forget_archives() -> None:
    """Executor, after a task: the next one finds no zipimporter to refresh.

    The next import that looks into an archive makes a new one, from the directory that zipimport itself keeps.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimport.zipimporter):
            del sys.path_importer_cache[path]


def local_sockets(folder: Path) -> dict[str, str]:
    """Spark's settings, for executors on this machine, to reach Python over sockets in `folder`, which must be private.

    Nobody is asked for a secret on such a socket.
    None of them if the path would be too long; older Spark ignores them.
    """
    if len(str(folder)) + SOCKET_NAME_MAX > SOCKET_PATH_MAX:
        return {}
    return {
        "spark.python.unix.domain.socket.enabled": "true",
        "spark.python.unix.domain.socket.dir": str(folder),
    }
