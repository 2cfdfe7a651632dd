"""What the command lines of the producers have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from producers.connecting import client_properties

DEFAULT_SERVERS = "localhost:9092"


def base_parser(manual: str) -> argparse.ArgumentParser:
    """Where to, how fast, and where that is logged; --topic and --log are each producer's own to default."""
    made = argparse.ArgumentParser(description=manual, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--bootstrap-server", default=DEFAULT_SERVERS, metavar="HOST:PORT,...", help=f"default {DEFAULT_SERVERS}")
    add("--partitions", type=positive, metavar="N", help="make the topic with N partitions if it does not exist")
    add("--rate", type=above_zero, metavar="R", help="records a second; default as fast as possible")
    add("--timeout", type=above_zero, default=30.0, metavar="S", help="give up S s after the last answer, default 30")
    add("--debug", action="store_true", help="show the Kafka client's own messages")
    return made


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """For those that send by librdkafka."""
    add = parser.add_argument
    add("--compression-type", choices=("none", "gzip", "snappy", "lz4", "zstd"), help="of the batches; default none")
    add("--producer-property", action="append", default=[], metavar="NAME=VALUE", help="of librdkafka; repeatable")
    add("--command-config", type=Path, metavar="FILE", help="name=value lines of the same kind: the place for secrets")


def add_log_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log", type=Path, metavar="FILE", help="appended to: every record's fate; default none")


def properties(options: argparse.Namespace, **of_options: str | None) -> dict[str, str]:
    """librdkafka's, as `add_client_options` offers; what an option of its own says comes above the file."""
    own = {"compression.type": options.compression_type, **of_options}
    given = [f"{name}={value}" for name, value in own.items() if value is not None]
    return client_properties(options.bootstrap_server, options.command_config, [*given, *options.producer_property])


def positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{value} is not above 0")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value:g} is not between 0 and 1")
    return value


def above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{value:g} is not a number above 0")
    return value
