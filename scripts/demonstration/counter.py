"""Counts what landed against what was produced.  Independent: plain listings and the producer's log, nothing of ours.

It never looks at the register, the batch log or staging: a reader of the lake has none of them either.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdfs import Client, InsecureClient

from demonstration.readers import rows_of

Files = Iterable[tuple[str, bytes]]
QUARANTINE = "_quarantine"  # bad records, published with their batch


@dataclass(frozen=True)
class Count:
    """All numbers are records.  ``foreign``: landed but never acknowledged to the producer."""

    produced: int
    landed: int
    unparsable: int
    missing: int
    duplicated: int
    foreign: int
    misjudged: int  # good lines among the unparsable, or malformed ones among the good

    @property
    def exact(self) -> bool:
        return not (self.missing or self.duplicated or self.foreign or self.misjudged)


def local_files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every published file below `root`: whatever begins with `_` or `.` is not data, but for the quarantine."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and not hidden(relative.parts):
            yield str(relative), path.read_bytes()


def hdfs_files(client: Client, root: str) -> Iterator[tuple[str, bytes]]:
    """The same over WebHDFS."""
    for folder, folders, files in client.walk(root):
        inside = [p for p in folder[len(root) :].split("/") if p]
        folders[:] = [f for f in folders if not hidden([*inside, f])]
        for name in sorted(files):
            if not hidden([*inside, name]):
                with client.read(f"{folder}/{name}") as reader:
                    yield "/".join([*inside, name]), reader.read()


def hidden(parts: Sequence[str]) -> bool:
    """Whether a path below the sink's root is none that a reader looks at."""
    return any(part[0] in "_." for part in (parts[1:] if parts[0] == QUARANTINE else parts))


def published(sink_url: str) -> Files:
    """The data files below a `file:` or `webhdfs:` URL, listed and read as they are asked for."""
    scheme, _, rest = sink_url.partition("://")
    if scheme == "file":
        return local_files(Path(rest))
    host, _, path = rest.partition("/")
    return hdfs_files(InsecureClient(f"http://{host}", timeout=30), f"/{path}")


def rows(files: Files) -> Iterator[tuple[str, dict[str, Any]]]:
    """(folder, row) of every file."""
    for name, content in files:
        folder = name.split("/")[0]
        for row in rows_of(name, content):
            yield folder, _quarantined(row) if folder == QUARANTINE else row


def _quarantined(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": f"{row['topic']}-{row['partition']}-{row['offset']}"}


def acknowledged(log: Path) -> Iterator[tuple[str, bool]]:
    """(topic-partition-offset, malformed) of every record that the producer's log says was acknowledged."""
    with log.open(encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            if entry["outcome"] == "acknowledged":
                yield f"{entry['topic']}-{entry['partition']}-{entry['offset']}", entry["malformed"]


def count(files: Files, log: Path) -> Count:
    """Compares, record by record, where each lies in Kafka."""
    produced = dict(acknowledged(log))
    seen: Counter[str] = Counter()
    bad: set[str] = set()
    for folder, row in rows(files):
        seen[row["id"]] += 1
        if folder in ("unparsable", QUARANTINE):
            bad.add(row["id"])
    return Count(
        produced=len(produced),
        landed=len(seen) - len(bad),
        unparsable=len(bad),
        missing=len(produced.keys() - seen.keys()),
        duplicated=sum(n - 1 for n in seen.values()),
        foreign=len(seen.keys() - produced.keys()),
        misjudged=sum((id_ in bad) != malformed for id_, malformed in produced.items() if id_ in seen),
    )
