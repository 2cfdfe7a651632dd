"""What a producer's script does around the sending: Ctrl-C, a progress bar, one JSON line, an exit status."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress as Display

from producers.connecting import ProduceError
from producers.delivery import DeliveryLog, Progress, Stopped, open_log

INTERRUPTED = 130

Client = TypeVar("Client")
Deliver = Callable[[Client, DeliveryLog, Stopped, Progress], Mapping[str, Any]]


def carry_out(
    name: str, options: argparse.Namespace, total: int | None, connect: Callable[[], Client], deliver: Deliver[Client]
) -> int:
    """Connects, then opens the log, then delivers; `deliver` returns what the summary says beside the counts.

    `total`: how many records there will be, if that is known.
    """
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.CRITICAL + 1)
    stopped = _until_interrupted()
    try:
        client = connect()
        began = time.monotonic()
        with open_log(options.log, options.topic) as log, _bar(options.topic, total) as progress:
            more = deliver(client, log, stopped, progress)
    except (ProduceError, OSError) as e:
        print(f"{name}: {e}", file=sys.stderr)
        return getattr(e, "exit_status", 1)
    seconds = time.monotonic() - began
    outcome = log.outcome
    rate = round(outcome.total / seconds)
    summary = {"topic": options.topic, "records": outcome.total, **asdict(outcome), **more}
    where = str(options.log) if options.log else None
    print(json.dumps({**summary, "seconds": round(seconds, 3), "recordsPerSecond": rate, "log": where}))
    if outcome.error:
        print(f"{name}: stopped, {outcome.error}{f'; see {where}' if where else ''}", file=sys.stderr)
    return INTERRUPTED if stopped() else outcome.exit_status


def _until_interrupted() -> Stopped:
    seen: list[int] = []  # no Event: set() in a signal handler can meet a wait() of the same thread
    signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    return lambda: bool(seen)


@contextmanager
def _bar(topic: str, total: int | None) -> Iterator[Progress]:
    """Shown on a terminal only."""
    with Display(console=Console(stderr=True), disable=not sys.stderr.isatty()) as display:
        task = display.add_task(topic, total=total)
        yield lambda done: display.update(task, completed=done)
