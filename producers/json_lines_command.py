"""The command line of the JSON-lines producer."""

from __future__ import annotations

import argparse
from typing import Any

from confluent_kafka import Producer

from producers.command import carry_out
from producers.connecting import ensure_topic
from producers.delivery import DeliveryLog, Pace, Progress, Stopped, produce
from producers.json_lines import KEY_SERIALIZERS, JsonLines, MalformedLineError, open_lines
from producers.librdkafka_delivery import LibrdkafkaDelivery, open_producer
from producers.options import add_client_options, add_log_option, base_parser, properties


def run(manual: str, argv: list[str] | None = None) -> int:
    """The exit status; see the script's manual."""
    options = parser(manual).parse_args(argv)

    def connect() -> Producer:
        with open_lines(options.file):  # a mistyped name is told before anything is sent
            pass
        client = properties(options, acks=options.acks, **{"enable.idempotence": _flag(options.enable_idempotence)})
        producer = open_producer(client, options.topic)
        ensure_topic(client, options.topic, options.partitions)
        return producer

    def deliver(producer: Producer, log: DeliveryLog, stopped: Stopped, progress: Progress) -> dict[str, Any]:
        made = JsonLines(
            options.key, KEY_SERIALIZERS[options.key_serializer], tuple(options.headers), options.skip_malformed
        )
        delivery = LibrdkafkaDelivery(producer, log, options.timeout)
        try:
            with open_lines(options.file) as lines:
                produce(delivery, Pace(options.rate, stopped)(made.items(lines)), stopped, progress)
        except (MalformedLineError, OSError) as e:
            log.outcome.error = log.outcome.error or str(e)
        return {"malformed": made.malformed}

    return carry_out("produce_json_lines", options, None, connect, deliver)


def parser(manual: str) -> argparse.ArgumentParser:
    made = base_parser(manual)
    add = made.add_argument
    add("file", help="JSON lines, unpacked by its suffix (.gz, .zst, .bz2, .lz4); - is stdin")
    add("--topic", required=True)
    add(
        "--key", metavar="FIELD", help="the line's field that is the record's key; dots lead into objects; default none"
    )
    add("--key-serializer", choices=KEY_SERIALIZERS, default="string", help="string: a text without quotes (default)")
    add("--headers", type=_header, action="append", default=[], metavar="NAME=VALUE", help="of each record; repeatable")
    add("--skip-malformed", action="store_true", help="leave malformed lines out, and count them")
    add("--acks", choices=("all", "1"), help="default all; 0 would leave nothing to log")
    add("--enable-idempotence", action=argparse.BooleanOptionalAction, help="default yes with acks all")
    add_client_options(made)
    add_log_option(made)
    return made


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _header(text: str) -> tuple[str, bytes]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value.encode()
