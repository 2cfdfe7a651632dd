"""What reset_offsets.py is asked for: options and their values.  Reads the file that is named; connects to nothing."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offsets.errors import ConfigError
from offsets.reset_modes import Mode, ShiftBy, ToOffset, ToOffsets, ToTime, to_current, to_earliest, to_latest
from streaming.config.scope import Scope, scope_of, spans
from streaming.resetting.files import read_offsets
from streaming.resetting.times import duration, moment

OFFSET = re.compile(r"\d{1,18}", re.ASCII)
SHIFT = re.compile(r"[+-]?\d{1,18}", re.ASCII)
FILE = "from_file"
STANDARD = "-"  # in place of a file: stdin or stdout


@dataclass(frozen=True)
class Asked:
    """`mode` None: no reset, only an export of what is.  `scope` None: all that the job reads."""

    mode: Mode | None
    scope: Scope | None
    told: str = ""  # the mode, as it was typed

    def reason(self, why: str) -> str:
        """What the register keeps of it, beside who and when."""
        return "; ".join(filter(None, (self.told, why)))


def reset_arguments(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_argument_group("where to").add_mutually_exclusive_group()
    mode.add_argument("--to-earliest", action="store_true", help="the log start")
    mode.add_argument("--to-latest", action="store_true", help="the last stable offset")
    mode.add_argument("--to-offset", metavar="N")
    mode.add_argument("--shift-by", metavar="N", help="records forward, or backward if negative")
    mode.add_argument("--to-datetime", metavar="T", help="2026-11-21T09:30:00.000, UTC unless a zone is given")
    mode.add_argument("--by-duration", metavar="D", help="so long before now: P1DT2H, PT90M")
    mode.add_argument("--to-current", action="store_true", help="as it is, within what Kafka has: behind a data loss")
    mode.add_argument("--from-file", metavar="FILE", help="JSON or CSV, as --export writes it; - is stdin")
    scope = parser.add_argument_group("what").add_mutually_exclusive_group()
    scope.add_argument("--all-topics", action="store_true")
    scope.add_argument("--topic", metavar="T[:P,P...]", action="append", default=[], help="repeatable")


def asked(given: argparse.Namespace) -> Asked:
    """Of arguments that were parsed.  Raises ConfigError with every mistake."""
    problems: list[str] = []
    mode = scope = None
    told = next(filter(None, (_told(name, getattr(given, name)) for name in (*PLAIN, *VALUES, FILE))), "")
    try:
        mode = _mode(given)
    except ConfigError as e:
        problems += e.problems
    try:
        scope = scope_of(given.topic) if given.topic else None
        if isinstance(mode, ToOffsets):
            scope = _restricted(mode, scope)
    except ConfigError as e:
        problems += e.problems
    if told and not (given.from_file or given.topic or given.all_topics):
        problems.append("say what to reset: --all-topics, or --topic once or more")
    if not told and given.execute:
        problems.append("--execute: say where to, for example --to-earliest")
    elif not told and not given.export:
        problems.append("say where to, for example --to-earliest; or --export FILE for the offsets as they are")
    if given.export and given.execute:
        problems.append("--export: not with --execute; it writes the plan of a dry run, or offsets as they are")
    if given.force and not given.execute:
        problems.append("--force: goes with --execute")
    if problems:
        raise ConfigError(problems, "see --help; nothing was written")
    return Asked(mode, scope, told)


def _told(name: str, value: str | bool | None) -> str:
    """The option as it was typed; nothing if it was not."""
    if value is None or value is False:
        return ""
    return f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")


def _mode(given: argparse.Namespace) -> Mode | None:
    """Raises ConfigError."""
    for name, mode in PLAIN.items():
        if getattr(given, name):
            return mode
    if given.from_file is not None:
        return read_offsets(_text(given.from_file), given.from_file)
    for name, parse in VALUES.items():
        if (text := getattr(given, name)) is not None:
            try:
                return parse(text)
            except ValueError as e:
                raise ConfigError([f"--{name.replace('_', '-')} {text}: {e}"]) from None
    return None


def _offset(text: str) -> Mode:
    if not OFFSET.fullmatch(text):
        raise ValueError("must be an offset: a whole number, 0 or more; --to-earliest and --to-latest name the ends")
    return ToOffset(int(text))


def _shift(text: str) -> Mode:
    if not SHIFT.fullmatch(text):
        raise ValueError("must be a whole number of records, negative for backward")
    return ShiftBy(int(text))


PLAIN: dict[str, Mode] = {"to_earliest": to_earliest, "to_latest": to_latest, "to_current": to_current}
VALUES: dict[str, Callable[[str], Mode]] = {
    "to_offset": _offset,
    "shift_by": _shift,
    "to_datetime": lambda text: ToTime(moment(text)),
    "by_duration": lambda text: ToTime(max(time.time_ns() // 1_000_000 - duration(text), 0)),
}


def _restricted(mode: ToOffsets, scope: Scope | None) -> Scope:
    """What the file names, as far as it is in scope.  Raises ConfigError where it does not name what is asked for."""
    said = {topic: frozenset(of) for topic, of in mode.offsets.items()}
    if scope is None:
        return said
    problems = [
        f"--topic {topic}: the file says nothing about {f'its partitions {spans(more)}' if topic in said else 'it'}"
        for topic, named in scope.items()
        if (more := (named or frozenset()) - said.get(topic, frozenset())) or topic not in said
    ]
    if problems:
        raise ConfigError(problems)
    return {topic: said[topic] if named is None else named for topic, named in scope.items()}


def _text(name: str) -> str:
    """Of the file, or of stdin."""
    try:
        if name == STANDARD:
            return sys.stdin.read()
        return Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError([f"--from-file {name}: {e}"]) from None
