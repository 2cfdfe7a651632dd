"""A progress bar, when somebody is watching.  Cron and files get the log lines alone.  Driver only."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streaming.spark.watch import under_spark_submit

Advance = Callable[[int], None]
STDOUT, STDERR = 1, 2


def shows(descriptor: int) -> bool:
    """Whether a terminal is behind this descriptor, or under spark-submit, which pipes ours, behind the JVM's."""
    if not under_spark_submit():
        return os.isatty(descriptor)
    try:
        return os.readlink(f"/proc/{os.getppid()}/fd/{descriptor}").startswith(("/dev/pts/", "/dev/tty"))
    except OSError:
        return False


@contextmanager
def progress_bar(total: int | None) -> Iterator[Advance]:
    """Calls of what it yields move the bar by so many records of `total`.  Draws nothing if nobody is watching."""
    if total is None or not shows(STDERR):
        yield lambda records: None
        return
    with _terminal() as file:
        columns = (TextColumn("records"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=file)) as progress, _logs_above(progress.console):
            task = progress.add_task("records", total=total)
            yield lambda records: progress.advance(task, records)


@contextmanager
def _terminal() -> Iterator[TextIO]:
    if sys.stderr.isatty():
        yield sys.stderr
        return
    with open("/dev/tty", "w", encoding="utf-8") as file:
        yield file


@contextmanager
def _logs_above(console: Console) -> Iterator[None]:
    """Log lines that would end up on the same terminal go above the bar instead of through it."""
    root = logging.getLogger()
    kept = list(root.handlers)
    if shows(STDOUT if under_spark_submit() else STDERR):
        root.handlers = [RichHandler(console=console, show_path=False, markup=False)]
    try:
        yield
    finally:
        root.handlers = kept
