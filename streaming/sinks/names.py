"""Every name below a sink's root.  Pure: what comes from data is percent-encoded, so it can neither escape nor collide.

Whatever begins with `_` or `.` is not data.  A `+` stands in file names only, so no folder is ever taken for a file.
"""

from __future__ import annotations

import hashlib
import re
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
LOSSES = "_losses"
PAUSED = "_paused.json"
QUARANTINE = "_quarantine"
MAX_COMPONENT = 200  # bytes; file systems take 255, and tools append to names
MAX_TOPIC = 100
MAX_FOLDER = 2000  # bytes; Linux takes paths of 4096, HDFS of 8000
MAX_DEPTH = 100  # components; HDFS takes 1000, and making folders recurses
# What no percent-encoding contains: it says that a component was empty, or was cut and replaced by its hash.
MARK = "%-"
NULL = "__HIVE_DEFAULT_PARTITION__"  # Hive's and Spark's own word for a null in a path
_ESCAPED = "%5F"


# As `final_name` makes them.
_FINAL = re.compile(r"([^+/]+)\+p(\d+)\+(\d{10,})\+(\d{10,})\+g(\d+)e(\d+)(?:\+\d+)?\.[^+/]+")


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
    if path.count("/") >= MAX_DEPTH:
        raise ValueError(f"the folder {folder[:60]!r}... is more than {MAX_DEPTH} folders deep")
    return path


def encoded_component(text: str, limit: int = MAX_COMPONENT) -> str:
    """One component, at most `limit` bytes: never empty, `.`, `..`, nor with a leading `.` or `_`."""
    data = text.encode("utf-8", "surrogatepass")
    return _capped(_visible(quote(data, safe="=")), data, limit)


def encoded_value(value: str | bytes | None, limit: int, leading: bool = False) -> str:
    """What stands for a value inside of a component, at most `limit` bytes; no two values share it.

    `leading`: it is the component's beginning, which must not hide the folder.  None is Hive's word for null, escaped
    there, where Hive would not see a key anyway.
    """
    if value is None:
        return f"{_ESCAPED}{_ESCAPED}{NULL[2:]}" if leading else NULL
    data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    encoded = quote(data, safe="")
    return _capped(_visible(encoded) if leading or encoded == NULL else encoded, data, limit)


def _visible(encoded: str) -> str:
    return f"%{ord(encoded[0]):02X}{encoded[1:]}" if encoded[:1] in ("_", ".") else encoded


def _capped(encoded: str, data: bytes, limit: int) -> str:
    """Never empty; what is too long is cut and told apart by its hash."""
    if len(encoded) <= limit:
        return encoded or MARK
    digest = hashlib.sha256(data).hexdigest()[:32]
    return encoded[: limit - len(MARK) - len(digest)] + MARK + digest


def table_of(directory: str) -> str:
    """The table that a directory's files belong to: its components before the first one that contains `=`."""
    parts = directory.split("/")
    keyed = next((i for i, part in enumerate(parts) if "=" in part), len(parts))
    return "/".join(parts[:keyed])


def is_data(path: str) -> bool:
    """Whether readers take it for data."""
    return path[:1] not in ("_", ".")


def quarantine_of(topic: str) -> str:
    """The directory of a topic's bad records."""
    return f"{QUARANTINE}/{encoded_component(topic)}"


def final_name(range_: OffsetRange, place: StagingPlace, part: int, extension: str) -> str:
    """The published file's name; `part` counts the files of one range in one folder from 0."""
    topic = encoded_topic(range_.topic)
    offsets = f"{range_.from_offset:010d}+{range_.until_offset:010d}"
    again = f"+{part}" if part else ""
    return f"{topic}+p{range_.partition}+{offsets}+g{place.generation}e{place.epoch}{again}.{extension}"


@lru_cache(maxsize=4096)
def encoded_topic(topic: str) -> str:
    """As it stands in file names."""
    return encoded_component(topic, MAX_TOPIC)


def claim_name(range_: OffsetRange) -> str:
    """The file by which a task claims its range, in the staging place of its batch."""
    return f"claim+{encoded_topic(range_.topic)}+p{range_.partition}"


class FinalName(NamedTuple):
    """What a published file's name says.  `topic` as `encoded_topic` gives it."""

    topic: str
    partition: int
    from_offset: int
    until_offset: int
    generation: int
    epoch: int


def parse_final_name(name: str) -> FinalName | None:
    """What `final_name` has put into it; None for a name that it cannot have made."""
    if (match := _FINAL.fullmatch(name)) is None:
        return None
    return FinalName(match[1], *map(int, match.groups()[1:]))


def batch_entry(generation: int, seq: int) -> str:
    """Where the batch log keeps a batch's manifest."""
    return f"{BATCHES}/{generation}/{seq:010d}.json"


def reset_entry(generation: int) -> str:
    """Where the batch log keeps the offsets that a reset has begun a generation at."""
    return f"{BATCHES}/{generation}{RESET}"


def loss_entry(generation: int) -> str:
    """Where a skip keeps what this generation has begun behind."""
    return f"{LOSSES}/{generation}.json"


def joined(*parts: str) -> str:
    """A path of the parts that are not empty."""
    return "/".join(part for part in parts if part)
