"""What a Spark master means for a job: whether tasks run on the driver's machine, and what is refused if they do not.

Pure: looks at names only, never at a disk or a server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

DEFAULT_MASTER = "local[*]"


def on_this_machine(master: str) -> bool:
    """Whether tasks run in the driver's own JVM.  A local-cluster[...] is a cluster."""
    return re.fullmatch(r"local(\[.*\])?", master) is not None


def misplaced(master: str, places: Mapping[str, str | None]) -> list[str]:
    """One problem for each of `{option: URL}` that is a local disk while tasks, or the next driver, are elsewhere."""
    if on_this_machine(master):
        return []
    return [
        f"{option} = {url}: a disk of one machine, and spark.master = {master} runs tasks on others; use "
        f"{'zookeeper://, postgresql:// or ' if option == 'offsets.store' else ''}webhdfs:// "
        "(a mount that all of them share cannot be told from one, so that is refused too)"
        for option, url in places.items()
        if url is not None and url.startswith(("file:", "sqlite:"))
    ]
