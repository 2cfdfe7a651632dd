"""The command line of the sequence producer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from producers.command import carry_out
from producers.connecting import ProduceError, ensure_topic
from producers.delivery import DeliveryLog, Item, Pace, Progress, Stopped, produce
from producers.librdkafka_delivery import LibrdkafkaDelivery, open_producer
from producers.options import add_client_options, add_log_option, base_parser, positive, properties, share
from producers.sequence import Ending, Sequence, transactions
from producers.sequence_end import next_numbers
from producers.transactional_delivery import open_transactional, produce_transactions


@dataclass(frozen=True)
class Ready:
    """A connected producer, and the numbers that come next."""

    producer: Producer
    sequence: Sequence


def run(manual: str, argv: list[str] | None = None) -> int:
    """The exit status; see the script's manual."""
    made = parser(manual)
    options = made.parse_args(argv)
    if options.transactional is None and (options.abort_every or options.leave_open):
        made.error("--abort-every and --leave-open need --transactional N")
    if options.abort_every == 1:
        made.error("--abort-every 1 would commit nothing")

    def deliver(ready: Ready, log: DeliveryLog, stopped: Stopped, progress: Progress) -> dict[str, Any]:
        sequence, pace = ready.sequence, Pace(options.rate, stopped)
        if options.transactional is None:
            items = sequence.items(range(options.records))
            produce(LibrdkafkaDelivery(ready.producer, log, options.timeout), pace(items), stopped, progress)
        else:
            planned = _planned(sequence, options, pace)
            produce_transactions(ready.producer, planned, log, options.timeout, stopped, progress)
        starts = sequence.starts.items()
        return {"partitions": {p: {"first": n, "committed": log.acknowledged.get(p, 0)} for p, n in starts}}

    return carry_out("produce_sequence", options, options.records, lambda: _connect(options), deliver)


def _connect(options: argparse.Namespace) -> Ready:
    """In this order: a crashed predecessor's transaction is ended before the last number is looked for."""
    client = properties(options)
    if client.get("acks", "all") not in ("all", "-1") or client.get("enable.idempotence", "true") != "true":
        raise ProduceError("acks and enable.idempotence: without them records may be missing, or be there twice", 2)
    if "transactional.id" in client:
        raise ProduceError("transactional.id: give --transactional-id", 2)
    open_producer(client, options.topic)  # only to be told what is wrong with the properties
    partitions = ensure_topic(client, options.topic, options.partitions)
    producer = _open(options, client)
    starts = dict.fromkeys(partitions, options.start)
    if options.start is None:
        starts = next_numbers(client, options.topic, partitions)
    return Ready(producer, Sequence(starts, options.keys, options.tombstones, options.record_size))


def _open(options: argparse.Namespace, client: dict[str, str]) -> Producer:
    if options.transactional is None:
        # Refused in the middle, nothing more is sent: no gap.
        return open_producer({**client, "enable.gapless.guarantee": "true"}, options.topic)
    return open_transactional(client, options.topic, options.transactional_id or f"produce-sequence-{options.topic}")


def _planned(sequence: Sequence, options: argparse.Namespace, pace: Pace) -> Iterator[tuple[Iterator[Item], Ending]]:
    each = transactions(options.records, options.transactional, options.abort_every, options.leave_open)
    return ((pace(sequence.items(turns, ending != "commit")), ending) for turns, ending in each)


def parser(manual: str) -> argparse.ArgumentParser:
    made = base_parser(manual)
    add = made.add_argument
    add("--topic", required=True)
    add("--records", type=positive, default=1000, metavar="N", help="to commit, over all partitions; default 1000")
    add("--record-size", type=int, default=0, metavar="B", help="bytes of a value at least, by padding")
    add("--keys", type=positive, metavar="N", help="N keys a partition, in turn; default: every record its own")
    add("--tombstones", type=share, default=0.0, metavar="SHARE", help="share of records without a value, 0 to 1")
    add("--start", type=int, metavar="N", help="first number in every partition; default: the topic's own next ones")
    add("--transactional", type=positive, metavar="N", help="in transactions of N records")
    add("--transactional-id", metavar="ID", help="default produce-sequence-TOPIC")
    add("--abort-every", type=positive, metavar="K", help="abort every Kth transaction, and send its numbers again")
    add("--leave-open", action="store_true", help="end with a transaction of N records that nobody ends")
    add_client_options(made)
    add_log_option(made)
    return made
