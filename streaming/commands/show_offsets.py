"""The command line of show_offsets.py."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing

from offsets.errors import ConfigError, StreamError, UnavailableError
from offsets.stores import open_store
from streaming.commands.console import complain, set_up_logging, told, while_read
from streaming.commands.places import place_parser, places
from streaming.config.places import Places
from streaming.config.scope import scope_of
from streaming.config.values import duration
from streaming.moments import span
from streaming.overview.looks import ANSWER_SECONDS, look
from streaming.overview.output import FORMATS
from streaming.overview.values import Overview, too_near, too_old

log = logging.getLogger("show_offsets")
TOO_OLD = 5  # exit status


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = place_parser("show_offsets.py", manual)
    parser.add_argument(
        "--topic", metavar="T[:P,P...]", action="append", default=[], help="only that topic or partitions; repeatable"
    )
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument(
        "--max-age", metavar="D", type=told(duration), help="exit 5 if the last success is older: 90s, 10m, 1h"
    )
    parser.add_argument(
        "--warn-below",
        metavar="D",
        type=told(duration),
        help="exit 5 if any partition has less time left before Kafka deletes what was not read yet: 15m, 2h, 1d",
    )
    return parser


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    given = arguments(manual).parse_args(argv)
    set_up_logging()
    try:
        where = places(given)
        refuse_blind(where, given.warn_below)
        scope = scope_of(given.topic) if given.topic else None
        with closing(open_store(where.store, where.session_seconds, ANSWER_SECONDS)) as store:
            overview = look(where, store, scope)
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    with while_read():
        FORMATS[given.format](overview, sys.stdout)
    for line in overview.unseen:
        log.error(line)
    return exit_status(overview, given.max_age, given.warn_below)


def refuse_blind(where: Places, warn_below: float | None) -> None:
    """A monitor that cannot see anything must not say that all is well."""
    if warn_below is not None and not (where.kafka and where.sink):
        raise ConfigError(
            ["--warn-below: only with Kafka and the reports of earlier runs"],
            "add what is missing: --bootstrap-server, --sink",
        )


def exit_status(overview: Overview, max_age: float | None, warn_below: float | None) -> int:
    """What a monitor asked for is the worse news."""
    near = list(too_near(overview, warn_below)) if warn_below is not None else []
    for row in near:
        log.error("%s-%d: %s left before Kafka has deleted what was not read yet", *row.at, span(row.time_left or 0))
    if near or (max_age is not None and too_old(overview, max_age)):
        return TOO_OLD
    return UnavailableError.exit_status if overview.unseen else 0
