#!/usr/bin/env python3
"""Puts transaction lines `step,MM/dd/yyyy,account,amount,description` into a Kafka topic and logs every record's fate.

examples:
  produce_transactions.py --records 200000 --partitions 4 --malformed 0.01
  produce_transactions.py --fixed --bootstrap-server broker1:9092,broker2:9092 --log sent.jsonl

exit status: 0 all acknowledged, 1 refused, 2 wrong option or no such topic, 69 brokers unavailable, 130 Ctrl-C.
Stdout: one line of JSON.  The log is JSON lines: outcome, topic, partition, offset, malformed, line, error.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from producers.transactions_command import run
except ModuleNotFoundError as e:
    sys.exit(
        f"produce_transactions: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )


def main(argv: list[str] | None = None) -> int:
    return run(__doc__ or "", argv)


if __name__ == "__main__":
    sys.exit(main())
