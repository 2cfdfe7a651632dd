#!/usr/bin/env python3
"""Puts the lines of a JSON-lines file into a Kafka topic, each line's own bytes as the value of one record.

examples:
  produce_json_lines.py orders.json --topic orders --partitions 4 --key customer.id
  zcat old/*.gz | produce_json_lines.py - --topic orders --rate 5000 --log sent.jsonl
  produce_json_lines.py orders.json.zst --topic orders --headers source=shop --compression-type zstd \\
      --bootstrap-server broker1:9093 --command-config client.properties

A line that is no JSON (or has no --key) stops it there; --skip-malformed leaves such lines out and counts them.
exit status: 0 all acknowledged, 1 refused, or a malformed line, 2 wrong option or no such topic or file,
69 brokers unavailable, 130 Ctrl-C.
Stdout: one line of JSON.  The log is JSON lines: outcome, topic, partition, offset, number (of the line), error.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from producers.json_lines_command import run
except ModuleNotFoundError as e:
    sys.exit(
        f"produce_json_lines: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )


def main(argv: list[str] | None = None) -> int:
    return run(__doc__ or "", argv)


if __name__ == "__main__":
    sys.exit(main())
