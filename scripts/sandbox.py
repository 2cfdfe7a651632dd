#!/usr/bin/env python3
"""Real Kafka, ZooKeeper, HDFS and PostgreSQL on this machine, loopback only, to try things out.

    scripts/sandbox.py up                 start the first three (what runs already is reused)
    scripts/sandbox.py up kafka           start only Kafka
    scripts/sandbox.py up postgres        start only PostgreSQL (needs the packages of the extra `test`)
    scripts/sandbox.py status             which run, with their logs
    eval "$(scripts/sandbox.py env)"      KAFKA_BOOTSTRAP_SERVERS, ZOOKEEPER, WEBHDFS, HDFS_URL in your shell
    scripts/sandbox.py down               end them; the data stays, delete its folder to start afresh

Exit status: 0 done; 1 a server did not start or its jars could not be fetched; 2 wrong option.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

try:
    from servers.cluster import NAMES, USUAL, Sandbox
    from servers.daemon import ServerError
    from servers.jars import JarError
except ModuleNotFoundError as e:
    sys.exit(
        f"sandbox: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Does one command; results on stdout, everything else on stderr."""
    arguments = parser().parse_args(argv)
    if unknown := set(arguments.server) - set(NAMES):
        parser().error(f"no server named {', '.join(sorted(unknown))}; there are {' '.join(NAMES)}")
    sandbox = Sandbox(arguments.data)
    try:
        if arguments.command == "up":
            sandbox.up(arguments.server or USUAL)
        elif arguments.command == "down":
            sandbox.down()
    except (ServerError, JarError) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.command == "env":
        print("".join(f"export {name}={shlex.quote(value)}\n" for name, value in sandbox.env().items()), end="")
    else:
        print(
            "".join(f"{server:10} {name:10} {state:20} {log}\n" for server, name, state, log in sandbox.status()),
            end="",
        )
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("up", "down", "status", "env"))
    parser.add_argument("server", nargs="*", help=f"for up: {' '.join(NAMES)} (default: {' '.join(USUAL)})")
    parser.add_argument(
        "--data", type=Path, default=ROOT / ".sandbox", help="folder of data, logs and pids (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
