"""Run reports: `_runs/<start>-<run id>.json`, one JSON object a run, as it was printed.  For people and monitors.

They decide nothing: a report that is missing or half written is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from offsets.filesystems import Filesystem
from streaming.sinks.names import RUNS
from streaming.sinks.notes import write_new

_NAME = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{32}\.json")
Report = Mapping[str, Any]  # what streaming.run.progress makes at the end of a run


def report_name(report: Report) -> str:
    """Sorts by the run's start; without a colon, which HDFS does not take."""
    start = re.sub(r"[-:.]", "", report["timestamp"])
    return f"{start}-{report['runId']}.json"


def keep_report(filesystem: Filesystem, report: Report, keep: int) -> None:
    """Adds the report, never over another, then deletes all but the newest `keep`."""
    write_new(filesystem, f"{RUNS}/{report_name(report)}", json.dumps(report).encode() + b"\n")
    for name in reversed(_names(filesystem)[keep:]):
        filesystem.delete(f"{RUNS}/{name}")


def reports(filesystem: Filesystem) -> Iterator[Report]:
    """The newest first, read one by one as they are asked for."""
    yield from KeptReports(filesystem).newest()


class KeptReports:
    """Those that a sink keeps: listed once, each read at most once, when it is first asked for."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem, self._names = filesystem, _names(filesystem)
        self._read: dict[str, Report | None] = {}

    def newest(self) -> Iterator[Report]:
        """All, the newest first."""
        yield from filter(None, map(self._report, self._names))

    def spread(self) -> Iterator[Report]:
        """A few from all of the time that is kept, the oldest first: each half as old, by their number."""
        at = len(self._names)
        while at:
            if report := self._report(self._names[at - 1]):
                yield report
            at //= 2

    def _report(self, name: str) -> Report | None:
        if name not in self._read:
            self._read[name] = self._load(name)
        return self._read[name]

    def _load(self, name: str) -> Report | None:
        try:
            report = json.loads(self._filesystem.read(f"{RUNS}/{name}"))
        except (FileNotFoundError, ValueError):  # a run has just deleted it, or did not finish writing it
            return None
        return report if isinstance(report, dict) else None


def _names(filesystem: Filesystem) -> list[str]:
    """The newest first."""
    return sorted((e.name for e in filesystem.list(RUNS) if _NAME.fullmatch(e.name)), reverse=True)
