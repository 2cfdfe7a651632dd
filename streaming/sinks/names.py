"""Every name below a sink's root.  Pure: what comes from data is percent-encoded, so it can neither escape nor collide.

Whatever begins with `_` or `.` is not data.  A `+` stands in file names only, so no folder is ever taken for a file.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from offsets.structs import OffsetRange

MARKER = "_application.json"
STAGING = "_staging"
BATCHES = "_batches"
RESET = ".reset.json"
MANIFEST = "manifest.json"
ASIDE = ".gone-"  # batch directories on their way out
PROBE, MARKER_TEMP = "probe-", "marker-"
LEFTOVERS = (PROBE, MARKER_TEMP)  # of launches that were killed while they looked around
RUNS = "_runs"
PAUSED = "_paused.json"
QUARANTINE = "_quarantine"
MAX_COMPONENT = 200  # bytes; file systems take 255, and tools append to names
MAX_TOPIC = 100
MAX_FOLDER = 2000  # bytes; Linux takes paths of 4096, HDFS of 8000
# What no percent-encoding contains: it says that a component was empty, or was cut and replaced by its hash.
MARK = "%-"


class StagingPlace(NamedTuple):
    """The batch that a task stages for, as planned by the driver."""

    generation: int
    epoch: int
    seq: int

    @property
    def directory(self) -> str:
        return f"{STAGING}/{self.epoch}/{self.seq}"


@lru_cache(maxsize=4096)  # executor: once per folder, not once per row
def encoded_folder(folder: str) -> str:
    """The directory for a user's folder, relative to the root; "" is the root itself.

    No two folders share a directory.  `/` separates components, each is encoded by itself; letters, digits and
    `._-=~` stay as they are.  Raises ValueError if it is longer than a path may be, TypeError for no str.
    """
    if not isinstance(folder, str):
        raise TypeError(f"a folder is a str, not {type(folder).__name__}")
    path = "/".join(map(encoded_component, folder.split("/"))) if folder else ""
    if len(path) > MAX_FOLDER:
        raise ValueError(f"the folder {folder[:60]!r}... is longer than {MAX_FOLDER} bytes")
    return path


def encoded_component(text: str, limit: int = MAX_COMPONENT) -> str:
    """One component, at most `limit` bytes: never empty, `.`, `..`, nor with a leading `.` or `_`."""
    encoded = quote(text, safe="=", errors="surrogatepass")
    if encoded[:1] in ("_", "."):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if len(encoded) <= limit:
        return encoded or MARK
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return encoded[: limit - len(MARK) - len(digest)] + MARK + digest


def final_name(range_: OffsetRange, place: StagingPlace, part: int, extension: str) -> str:
    """The published file's name; `part` counts the files of one range in one folder from 0."""
    topic = encoded_component(range_.topic, MAX_TOPIC)
    offsets = f"{range_.from_offset:010d}+{range_.until_offset:010d}"
    again = f"+{part}" if part else ""
    return f"{topic}+p{range_.partition}+{offsets}+g{place.generation}e{place.epoch}{again}.{extension}"


def batch_entry(generation: int, seq: int) -> str:
    """Where the batch log keeps a batch's manifest."""
    return f"{BATCHES}/{generation}/{seq:010d}.json"


def reset_entry(generation: int) -> str:
    """Where the batch log keeps the offsets that a reset has begun a generation at."""
    return f"{BATCHES}/{generation}{RESET}"


def joined(*parts: str) -> str:
    """A path of the parts that are not empty."""
    return "/".join(part for part in parts if part)
