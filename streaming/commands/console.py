"""What every script that takes a job file shares: its arguments, reading it, and how trouble is told."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from offsets.errors import ConfigError, StreamError
from streaming.config.job import JobConfig
from streaming.config.reading import load
from streaming.tasks.errors import trace

T = TypeVar("T")
QUIET = ("py4j", "kazoo", "hdfs", "urllib3", "streaming.source.client", "kafka")


def job_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """JOB.cfg, or --job JOB.cfg, and --set: as `job` and `overrides`."""
    parser.set_defaults(job=None)  # first: it would change the defaults of both
    files = parser.add_mutually_exclusive_group(required=required)
    files.add_argument("job", metavar="JOB.cfg", nargs="?", default=argparse.SUPPRESS, help="the job file")
    files.add_argument("--job", metavar="JOB.cfg", default=argparse.SUPPRESS, help="the same, by name")
    parser.add_argument(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[], dest="overrides", help="one setting, changed"
    )


def told(parse: Callable[[str], T]) -> Callable[[str], T]:
    """For options: what `parse` says of a wrong value is shown, where argparse would show its name."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as e:
            raise argparse.ArgumentTypeError(f"{text}: {e}") from None

    return parsed


def read_config(job_file: str, overrides: Sequence[str] = ()) -> JobConfig:
    """The job.  Raises ConfigError; connects to nothing."""
    try:
        text = Path(job_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError([f"cannot read the job file {job_file}: {e}"], "give the path of an INI file") from None
    return load(job_file, text, overrides)


@contextmanager
def while_read() -> Iterator[None]:
    """Around what prints results: nobody may want all of them, as behind `| head`, and what was done is done."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # the interpreter flushes at its end as well
        os.close(nowhere)


def complain(log: logging.Logger, error: StreamError, debug: bool = False) -> None:
    """One line a problem, with the remedy; no stack trace unless asked for."""
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    for problem in problems[:-1]:
        log.error(problem)
    log.error("%s%s", problems[-1], f"; remedy: {error.remedy}" if error.remedy else "")
    if debug:
        log.error(trace(error))


def set_up_logging(debug: bool = False) -> None:
    """Everything goes to stderr.  Libraries that print traces of what we already say in a line are kept quiet."""
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if debug else logging.INFO, format=form, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.CRITICAL)
