"""Keeps the report of a run in its sink.  Runs on the driver, last of all; never raises, and never waits for long."""

from __future__ import annotations

import logging
from typing import Any

from offsets.errors import FencedError, StreamError, UnavailableError
from offsets.filesystems import open_filesystem
from streaming.config.job import JobConfig
from streaming.run.progress import RunProgress
from streaming.sinks.parallel import within
from streaming.sinks.runs import Report, keep_report

log = logging.getLogger(__name__)
SECONDS = 5.0


def final_report(progress: RunProgress, config: JobConfig | None, status: int, reason: str) -> dict[str, Any]:
    """The run's summary, which the sink has kept if it may.  `config`: None if it could not be read."""
    report = progress.summary(status, reason)
    if config is not None and progress.at_home and status != FencedError.exit_status:  # the run that goes on keeps its
        keep_run_report(config.sink_path, report, config.retain_runs)
    return report


def keep_run_report(sink_path: str, report: Report, keep: int, seconds: float = SECONDS) -> None:
    """Writes the report and deletes those past the newest `keep`; a line on stderr if the sink does not let it."""
    try:
        filesystem = open_filesystem(sink_path)
        late = UnavailableError(f"{filesystem.url} did not answer within {seconds:g} s")
        within(seconds, lambda: keep_report(filesystem, report, keep), late)
    except (StreamError, OSError) as e:
        log.warning("the report of this run is not kept: %s", e)
