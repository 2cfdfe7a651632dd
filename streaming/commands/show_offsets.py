"""The command line of show_offsets.py."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing

from offsets.errors import StreamError, UnavailableError
from offsets.stores import open_store
from streaming.commands.console import complain, job_arguments, read_config, set_up_logging, told
from streaming.config.values import duration
from streaming.overview.looks import ANSWER_SECONDS, look
from streaming.overview.output import FORMATS
from streaming.overview.values import Overview, too_old

log = logging.getLogger("show_offsets")
TOO_OLD = 5  # exit status


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "show_offsets.py", description=manual, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    job_arguments(parser)
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument(
        "--max-age", metavar="D", type=told(duration), help="exit 5 if the last success is older: 90s, 10m, 1h"
    )
    return parser


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    given = arguments(manual).parse_args(argv)
    set_up_logging()
    try:
        config = read_config(given.job, given.overrides)
        with closing(open_store(config.store, config.session_timeout_ms / 1000, ANSWER_SECONDS)) as store:
            overview = look(config, store)
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    FORMATS[given.format](overview, sys.stdout)
    for line in overview.unseen:
        log.error(line)
    return exit_status(overview, given.max_age)


def exit_status(overview: Overview, max_age: float | None) -> int:
    """Too old a success is the worse news."""
    if max_age is not None and too_old(overview, max_age):
        return TOO_OLD
    return UnavailableError.exit_status if overview.unseen else 0
