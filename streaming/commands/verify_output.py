"""The command line of verify_output.py."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing

from offsets.errors import StreamError
from offsets.filesystems import open_filesystem
from offsets.stores import open_store
from offsets.structs import EXACTLY_ONCE
from streaming.commands.console import complain, set_up_logging, while_read
from streaming.commands.places import place_parser, places, sink_of
from streaming.verification.output import FORMATS
from streaming.verification.verify import verify

log = logging.getLogger("verify_output")
FINDINGS = 4  # exit status


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = place_parser("verify_output.py", manual)
    parser.add_argument(
        "--allow-moved", action="store_true", help="consumers move published files away: those are counted, no findings"
    )
    parser.add_argument("--checksums", action="store_true", help="read every file and compare its CRC-32")
    parser.add_argument("--format", choices=FORMATS, default="table")
    return parser


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    given = arguments(manual).parse_args(argv)
    set_up_logging()
    try:
        where = places(given)
        sink = open_filesystem(sink_of(where))
        guarantee = where.config.guarantee if where.config else EXACTLY_ONCE
        with closing(open_store(where.store)) as store:
            verdict = verify(store, sink, given.allow_moved, given.checksums, guarantee)
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    with while_read():
        FORMATS[given.format](verdict, sys.stdout)
    return FINDINGS if verdict.findings else 0
