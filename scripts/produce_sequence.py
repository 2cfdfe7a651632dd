#!/usr/bin/env python3
"""Puts a numbered sequence into a Kafka topic: per partition it counts up by one, without a gap, each number once.

examples:
  produce_sequence.py --topic numbers --partitions 4 --records 100000 --rate 2000
  produce_sequence.py --topic numbers --transactional 500 --abort-every 3 --leave-open
  produce_sequence.py --topic numbers --tombstones 0.1 --keys 50 --log sent.jsonl

A value is {"partition": 0, "number": 17}.  Records of aborted and of left-open transactions have "aborted": true in it:
no reader of committed records may ever see one; their numbers are given again.  A tombstone has no value, and its
number in the header `number`.  A second run goes on where the topic's committed records end, also after a crash.  One
producer at a time: transactional ones fence each other, plain ones would mix.
A plain run that ends with 1 or 69 has sent a prefix of what it should; the next one goes on after it.
exit status: 0 all committed, 1 refused, 2 wrong option or no such topic, 69 brokers unavailable, 130 Ctrl-C.
Stdout: one line of JSON; `partitions` has the first number and the count of committed records of this run, exact
unless `unknown` is above 0.  The log is JSON lines: outcome, topic, partition, offset, number, error.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from producers.sequence_command import run
except ModuleNotFoundError as e:
    sys.exit(
        f"produce_sequence: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )


def main(argv: list[str] | None = None) -> int:
    return run(__doc__ or "", argv)


if __name__ == "__main__":
    sys.exit(main())
