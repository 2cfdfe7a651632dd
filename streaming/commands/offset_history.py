"""The command line of offset_history.py."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from offsets.errors import StateDamagedError, StreamError, UnavailableError
from offsets.history import Event, touching
from offsets.stores import open_store
from streaming.commands.console import complain, set_up_logging, told
from streaming.commands.places import Places, place_arguments, places
from streaming.config.scope import Scope, scope_of, within
from streaming.history.gathering import History, gather
from streaming.history.output import FORMATS, Told

log = logging.getLogger("offset_history")
LIMIT, ANSWER_SECONDS = 50, 10.0


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "offset_history.py", description=manual, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    place_arguments(parser)
    parser.add_argument(
        "--limit",
        metavar="N",
        type=told(positive),
        default=LIMIT,
        help=f"look at the newest N states (default {LIMIT})",
    )
    parser.add_argument(
        "--topic", metavar="T[:0,1]", action="append", default=[], help="of these, only what moved it; repeatable"
    )
    parser.add_argument("--format", choices=FORMATS, default="table")
    return parser


def positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError("must be a whole number from 1 on")
    return int(text)


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    given = arguments(manual).parse_args(argv)
    set_up_logging()
    try:
        where, scope = places(given), scope_of(given.topic)
        history = look(where, scope, given.limit)
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    FORMATS[given.format](Told(where.name, where.store, where.sink, history), sys.stdout)
    return status(history)


def look(where: Places, scope: Scope, limit: int) -> History:
    with closing(open_store(where.store, where.session_seconds, ANSWER_SECONDS, where.retain_states)) as store:
        history = gather(where, store, limit)
    return replace(history, events=tuple(chosen(history, scope))) if scope else history


def chosen(history: History, scope: Scope) -> list[Event]:
    """What moved a partition of the scope.  Raises ConfigError for one that neither register nor history names."""
    existing: dict[str, set[int]] = {}
    for topic, state in (history.register.topics if history.register else {}).items():
        existing.setdefault(topic, set()).update(state.offsets)
    for move in (move for event in history.events for move in event.moves or ()):
        existing.setdefault(move.topic, set()).add(move.partition)
    wanted = within(scope, existing)
    return touching(history.events, lambda topic, partition: partition in wanted.get(topic, ()))


def status(history: History) -> int:
    """A register that cannot be read is the worse news."""
    for line in (*filter(None, [history.damage]), *history.unseen):
        log.error(line)
    if history.damage:
        return StateDamagedError.exit_status
    return UnavailableError.exit_status if history.unseen else 0
