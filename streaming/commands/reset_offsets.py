"""The command line of reset_offsets.py: shows what a reset would do, and with --execute does it."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing

from offsets.errors import ConfigError, StreamError
from offsets.reset_modes import Mode, ToOffsets
from streaming.commands.console import complain, set_up_logging, while_read
from streaming.commands.places import place_parser, places
from streaming.config.places import Places
from streaming.resetting.asking import STANDARD, Asked, asked, reset_arguments
from streaming.resetting.choosing import Chooser
from streaming.resetting.executing import ANSWER_SECONDS, execute
from streaming.resetting.exporting import current_offsets, export, planned_offsets
from streaming.resetting.files import piped
from streaming.resetting.output import FORMATS, Report, facts
from streaming.resetting.preview import look, preview, preview_discarding
from streaming.source.broker import Broker

log = logging.getLogger("reset_offsets")


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = place_parser("reset_offsets.py", manual)
    reset_arguments(parser)
    parser.add_argument("--execute", action="store_true", help="do it; without this it is only shown")
    parser.add_argument("--force", action="store_true", help="with --execute: fence a run that is alive")
    parser.add_argument(
        "--discard-pending",
        action="store_true",
        help="give up a batch that is pending and can never be finished; exactly-once ends for it",
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; kept in the register beside who and when")
    parser.add_argument(
        "--export",
        metavar="FILE",
        help="of a dry run: write the new offsets there, without a mode the current ones; - is stdout, .csv is CSV",
    )
    parser.add_argument("--format", choices=FORMATS, default="table")
    return parser


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    given = arguments(manual).parse_args(words)
    set_up_logging()
    try:
        where, what = _read(given)
        if what.mode is None:
            export(current_offsets(look(where)[0].topics, what.scope), given.export, given.format == "csv")
            return 0
        report = reset(given, where, what, what.mode, to_execute(given, words, what.mode))
        if given.export:
            export(planned_offsets(report.moves), given.export, given.format == "csv")
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    with while_read():
        FORMATS[given.format](report, sys.stderr if given.export == STANDARD else sys.stdout)
    for name, text in facts(report) if given.format == "csv" else ():
        log.info("%s: %s", name, text)
    return 0


def reset(given: argparse.Namespace, where: Places, what: Asked, mode: Mode, command: str) -> Report:
    """Plans it; with --execute also does it.  `command` would do it."""
    with closing(Broker(where.kafka, ANSWER_SECONDS)) as broker:
        choose = Chooser(what.scope, mode, broker, where.config.subscription if where.config else None)
        if given.execute:
            done = execute(where, choose, what.reason(given.reason), given.force, given.discard_pending)
            return Report(where.name, where.store, done.before, done.chosen.moves, done=done, given_up=done.given_up)
        if given.discard_pending:
            state, chosen, given_up, notes = preview_discarding(where, choose)
            return Report(where.name, where.store, state, chosen.moves, command, notes=notes, given_up=given_up)
        state, chosen, notes = preview(where, choose)
    return Report(where.name, where.store, state, chosen.moves, command, notes=notes)


def to_execute(given: argparse.Namespace, words: Sequence[str], mode: Mode) -> str:
    """The command that does what these `words` have shown; what came from stdin is in it."""
    export = argparse.ArgumentParser(add_help=False)
    export.add_argument("--export")  # not with --execute
    command = shlex.join(["reset_offsets.py", *export.parse_known_args(words)[1], "--execute"])
    return piped(mode.offsets, command) if isinstance(mode, ToOffsets) and given.from_file == STANDARD else command


def _read(given: argparse.Namespace) -> tuple[Places, Asked]:
    """Raises ConfigError with every mistake of both."""
    problems: list[str] = []
    try:
        where = places(given)
        if not where.kafka and (given.execute or not given.export):
            problems.append("--bootstrap-server: only Kafka can say where its logs begin and end")
    except ConfigError as e:
        problems += e.problems
    try:
        what = asked(given)
    except ConfigError as e:
        problems += e.problems
    if given.discard_pending and not problems and what.mode is None:
        problems.append("--discard-pending: say where to go on, for example --to-current")
    if problems:
        raise ConfigError(problems, "see --help; nothing was connected to")
    return where, what
