"""The command line of pause_job.py: sets, lifts or shows the pause switch in a job's sink."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from datetime import datetime, timezone

from offsets.errors import ConfigError, StreamError
from offsets.filesystems import Filesystem, check_url, open_filesystem
from streaming.commands.console import complain, set_up_logging
from streaming.commands.places import place_parser, places, sink_of
from streaming.person import person
from streaming.run.pausing import pause_in_force
from streaming.sinks.pause import Pause, lift_pause, set_pause

log = logging.getLogger("pause_job")


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = place_parser("pause_job.py", manual)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--reason", metavar="TEXT", help="pause the job, and say why")
    what.add_argument("--resume", action="store_true", help="lift the pause")
    return parser


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    """Prints one line on stdout: what is the case now."""
    given = arguments(manual).parse_args(argv)
    set_up_logging()
    try:
        name, url = where(given)
        print(f"{name}: {carry_out(open_filesystem(url), given)}")
    except (StreamError, OSError) as e:
        complain(log, e if isinstance(e, StreamError) else StreamError(str(e)))
        return getattr(e, "exit_status", 1)
    return 0


def where(given: argparse.Namespace) -> tuple[str, str]:
    """A name for the job, and its sink, which is all that is needed: --sink alone will do.  Raises ConfigError."""
    if given.sink and not (given.job or given.store or given.overrides):
        if problems := check_url(given.sink):
            raise ConfigError([f"--sink: {problem}" for problem in problems], "see --help; nothing was connected to")
        return given.sink, given.sink
    known = places(given)
    return known.name, sink_of(known)


def carry_out(sink: Filesystem, given: argparse.Namespace) -> str:
    """What is the case afterwards.  The first request is `pause_in_force`, which does not hang."""
    now = pause_in_force(sink)
    if given.resume:
        lifted = lift_pause(sink) if now else None
        return f"resumed; it was {lifted}" if lifted else "not paused"
    if given.reason is None:
        return str(now or "not paused")
    pause = Pause(person(), datetime.now(timezone.utc).isoformat(timespec="seconds"), given.reason)
    return str(pause) if set_pause(sink, pause) else f"already {pause_in_force(sink) or 'resumed again'}"
