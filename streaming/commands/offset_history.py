"""The command line of offset_history.py."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from offsets.errors import ConfigError, StateDamagedError, StreamError, UnavailableError
from offsets.events import Event
from offsets.history import touching
from offsets.stores import open_store
from streaming.commands.console import complain, set_up_logging, told, while_read
from streaming.commands.places import place_parser, places
from streaming.config.places import Places
from streaming.config.scope import Scope, scope_of, within
from streaming.history.gathering import ANSWER_SECONDS, History, gather
from streaming.history.output import FORMATS, Told
from streaming.history.undo import CommittedSinceError, Undo, undo
from streaming.resetting import output

log = logging.getLogger("offset_history")
LIMIT = 50


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = place_parser("offset_history.py", manual)
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
    parser.add_argument("--undo", action="store_true", help="of the last reset: shows what it would do")
    parser.add_argument("--execute", action="store_true", help="with --undo: do it")
    parser.add_argument("--force", action="store_true", help="with --undo --execute: fence a run that is alive")
    parser.add_argument(
        "--reason", metavar="TEXT", default="", help="with --undo: why; kept in the register beside who and when"
    )
    parser.add_argument("--format", choices=FORMATS, default="table")
    return parser


def positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError("must be a whole number from 1 on")
    return int(text)


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    given = arguments(manual).parse_args(words)
    set_up_logging()
    try:
        where = _places(given)
        if given.undo:
            return _undo(where, given, shlex.join(["offset_history.py", *words, "--execute"]))
        history = look(where, scope_of(given.topic), given.limit)
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    with while_read():
        FORMATS[given.format](Told(where.name, where.store, where.sink, history), sys.stdout)
    return status(history)


def _places(given: argparse.Namespace) -> Places:
    """Raises ConfigError with every mistake."""
    problems = []
    if not given.undo:
        problems = [f"--{name}: goes with --undo" for name in ("execute", "force", "reason") if getattr(given, name)]
    elif given.topic:
        problems = ["--topic: an undo is of all that the reset moved"]
    try:
        where = places(given)
    except ConfigError as e:
        problems += e.problems
    if problems:
        raise ConfigError(problems, "see --help; nothing was connected to")
    return where


def _undo(where: Places, given: argparse.Namespace, command: str) -> int:
    """Where it is refused, what would be done instead is shown all the same."""
    report = output.FORMATS[given.format]
    try:
        found = undo(where, Undo(given.limit, given.execute, given.force, given.reason), command)
        with while_read():
            report(found, sys.stdout)
    except CommittedSinceError as e:
        if e.instead:
            with while_read():
                report(e.instead, sys.stdout)
        raise
    return 0


def look(where: Places, scope: Scope, limit: int) -> History:
    with closing(open_store(where.store, where.session_seconds, ANSWER_SECONDS, where.retain_states)) as store:
        history = gather(where, store, limit)
    shown = replace(history, events=history.events[-limit:])
    return replace(shown, events=tuple(chosen(shown, scope))) if scope else shown


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
