"""Keeps the report of a run in its sink.  Runs on the driver, last of all; never raises, and never waits for long."""

from __future__ import annotations

import logging

from offsets.errors import StreamError, UnavailableError
from offsets.filesystems import open_filesystem
from streaming.sinks.parallel import within
from streaming.sinks.runs import Report, keep_report

log = logging.getLogger(__name__)
SECONDS = 5.0


def keep_run_report(sink_path: str, report: Report, keep: int, seconds: float = SECONDS) -> None:
    """Writes the report and deletes those past the newest `keep`; a line on stderr if the sink does not let it."""
    try:
        filesystem = open_filesystem(sink_path)
        late = UnavailableError(f"{filesystem.url} did not answer within {seconds:g} s")
        within(seconds, lambda: keep_report(filesystem, report, keep), late)
    except (StreamError, OSError) as e:
        log.warning("the report of this run is not kept: %s", e)
