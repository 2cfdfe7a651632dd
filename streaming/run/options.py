"""What the command line of a launch adds to the job file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """As run_stream.py was called."""

    available_now: bool = False
    duration: float | None = None  # seconds
    recover: str | None = None  # one of streaming.run.recovery.RECOVERIES
    debug: bool = False
