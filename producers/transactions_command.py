"""The command line of the transactions producer."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from producers.command import carry_out
from producers.connecting import client_properties, ensure_topic
from producers.delivery import DeliveryLog, Item, Pace, Progress, Stopped, produce
from producers.kafka_python_delivery import KafkaPythonDelivery, open_producer
from producers.options import base_parser, positive, share
from producers.transactions import DEFAULT_TOPIC, FIXED_COUNT, Line, fixed_lines, random_lines


def run(manual: str, argv: list[str] | None = None) -> int:
    """The exit status; see the script's manual."""
    options = parser(manual).parse_args(argv)

    def connect() -> KafkaProducer:
        ensure_topic(client_properties(options.bootstrap_server, None), options.topic, options.partitions)
        return open_producer(options.bootstrap_server, options.timeout)

    def deliver(producer: KafkaProducer, log: DeliveryLog, stopped: Stopped, progress: Progress) -> dict[str, Any]:
        lines = Items()
        delivery = KafkaPythonDelivery(producer, log, options.timeout)
        produce(delivery, Pace(options.rate, stopped)(lines.of(chosen_lines(options))), stopped, progress)
        return {"malformed": lines.malformed}

    total = FIXED_COUNT if options.fixed else options.records
    return carry_out("produce_transactions", options, total, connect, deliver)


def parser(manual: str) -> argparse.ArgumentParser:
    made = base_parser(manual)
    add = made.add_argument
    add("--topic", default=DEFAULT_TOPIC, help=f"default {DEFAULT_TOPIC}")
    lines = made.add_mutually_exclusive_group()
    lines.add_argument("--records", type=positive, default=1000, metavar="N", help="random lines, default 1000")
    lines.add_argument("--fixed", action="store_true", help="the fixed set of 100 lines instead of random ones")
    add("--seed", type=int, default=1, help="of the random lines, default 1")
    add("--malformed", type=share, default=0.0, metavar="SHARE", help="share of malformed lines, 0 to 1, default 0")
    add("--log", type=Path, default=Path("produced.jsonl"), help="appended to; default produced.jsonl")
    return made


def chosen_lines(options: argparse.Namespace) -> Iterator[Line]:
    return fixed_lines() if options.fixed else random_lines(options.records, options.seed, options.malformed)


class Items:
    """Makes items of lines, and counts the malformed ones."""

    malformed = 0

    def of(self, lines: Iterable[Line]) -> Iterator[Item]:
        """The log holds each byte of a line as the character of the same number (latin-1)."""
        for line in lines:
            self.malformed += line.malformed
            yield Item(line.value, note={"malformed": line.malformed, "line": line.value.decode("latin-1")})
