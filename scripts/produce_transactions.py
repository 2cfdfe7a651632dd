#!/usr/bin/env python3
"""Puts transaction lines `step,MM/dd/yyyy,account,amount,description` into a Kafka topic and logs every record's fate.

examples:
  produce_transactions.py --records 200000 --partitions 4 --malformed 0.01
  produce_transactions.py --fixed --bootstrap-server broker1:9092,broker2:9092 --log sent.jsonl

exit status: 0 all acknowledged, 1 refused, 2 wrong option or no such topic, 69 brokers unavailable, 130 Ctrl-C.
Stdout: one line of JSON.  The log is JSON lines: outcome, topic, partition, offset, malformed, line, error.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from rich.console import Console
    from rich.progress import Progress

    from producers.connecting import ProduceError, ensure_topic, open_producer
    from producers.delivery import produce
    from producers.options import chosen_lines, exit_status, parser
except ModuleNotFoundError as e:
    sys.exit(
        f"produce_transactions: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__ or "").parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if options.debug else logging.CRITICAL + 1)
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    count, lines = chosen_lines(options)
    try:
        ensure_topic(options.bootstrap_server, options.topic, options.partitions)
        producer = open_producer(options.bootstrap_server, options.timeout)
        began = time.monotonic()
        display = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
        with options.log.open("ab") as log, display:
            task = display.add_task(options.topic, total=count)
            tell = lambda done: display.update(task, completed=done)  # noqa: E731
            outcome = produce(producer, options.topic, lines, log, interrupted.is_set, tell, options.timeout)
    except (ProduceError, OSError) as e:
        print(f"produce_transactions: {e}", file=sys.stderr)
        return getattr(e, "exit_status", 1)
    seconds = time.monotonic() - began
    summary = {"topic": options.topic, "records": outcome.total, **asdict(outcome), "seconds": round(seconds, 3)}
    print(json.dumps({**summary, "recordsPerSecond": round(outcome.total / seconds), "log": str(options.log)}))
    if outcome.error:
        print(f"produce_transactions: stopped, {outcome.error}; see {options.log}", file=sys.stderr)
    return exit_status(outcome, interrupted.is_set())


if __name__ == "__main__":
    sys.exit(main())
