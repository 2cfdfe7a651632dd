"""The command line of the transactions producer, and what its exit status says."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from producers.delivery import Outcome, paced
from producers.transactions import DEFAULT_SERVERS, DEFAULT_TOPIC, FIXED_COUNT, Line, fixed_lines, random_lines

INTERRUPTED = 130


def parser(manual: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=manual, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--bootstrap-server", default=DEFAULT_SERVERS, metavar="HOST:PORT,...", help=f"default {DEFAULT_SERVERS}")
    add("--topic", default=DEFAULT_TOPIC, help=f"default {DEFAULT_TOPIC}")
    add("--partitions", type=_positive, metavar="N", help="make the topic with N partitions if it does not exist")
    lines = made.add_mutually_exclusive_group()
    lines.add_argument("--records", type=_positive, default=1000, metavar="N", help="random lines, default 1000")
    lines.add_argument("--fixed", action="store_true", help="the fixed set of 100 lines instead of random ones")
    add("--seed", type=int, default=1, help="of the random lines, default 1")
    add("--malformed", type=_share, default=0.0, metavar="SHARE", help="share of malformed lines, 0 to 1, default 0")
    add("--rate", type=_rate, metavar="R", help="records a second; default as fast as possible")
    add("--timeout", type=_rate, default=30.0, metavar="S", help="give a record up as unknown after S s, default 30")
    add("--log", type=Path, default=Path("produced.jsonl"), help="appended to; default produced.jsonl")
    add("--debug", action="store_true", help="show the Kafka client's own messages")
    return made


def chosen_lines(options: argparse.Namespace) -> tuple[int, Iterator[Line]]:
    """How many lines, and the lines themselves at the rate asked for."""
    count = FIXED_COUNT if options.fixed else options.records
    lines = fixed_lines() if options.fixed else random_lines(count, options.seed, options.malformed)
    return count, paced(lines, options.rate) if options.rate else lines


def exit_status(outcome: Outcome, interrupted: bool) -> int:
    """See the script's manual; a refusal weighs more than a missing answer."""
    if interrupted:
        return INTERRUPTED
    return 1 if outcome.failed else 69 if outcome.unknown else 0


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{value} is not above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value:g} is not between 0 and 1")
    return value


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value:g} is not a number above 0")
    return value
