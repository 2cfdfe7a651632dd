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
    for name in _names(filesystem):
        try:
            report = json.loads(filesystem.read(f"{RUNS}/{name}"))
        except (FileNotFoundError, ValueError):  # a run has just deleted it, or did not finish writing it
            continue
        if isinstance(report, dict):
            yield report


def _names(filesystem: Filesystem) -> list[str]:
    """The newest first."""
    return sorted((e.name for e in filesystem.list(RUNS) if _NAME.fullmatch(e.name)), reverse=True)
