"""The command line of verify_output.py."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from offsets.errors import ConfigError, StreamError
from offsets.filesystems import open_filesystem
from offsets.stores import open_store
from offsets.structs import EXACTLY_ONCE
from streaming.commands.console import complain, job_arguments, read_config, set_up_logging
from streaming.verification.output import FORMATS
from streaming.verification.verify import verify

log = logging.getLogger("verify_output")
FINDINGS = 4  # exit status


class Places(NamedTuple):
    store: str
    sink: str
    guarantee: str = EXACTLY_ONCE


def arguments(manual: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "verify_output.py", description=manual, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    job_arguments(parser, required=False)
    parser.add_argument("--store", metavar="URL", help="instead of a job file: its [offsets] store")
    parser.add_argument("--sink", metavar="URL", help="instead of a job file: its [sink] path")
    parser.add_argument(
        "--allow-moved", action="store_true", help="consumers move published files away: those are counted, no findings"
    )
    parser.add_argument("--checksums", action="store_true", help="read every file and compare its CRC-32")
    parser.add_argument("--format", choices=FORMATS, default="table")
    return parser


def places(given: argparse.Namespace) -> Places:
    """Where to look.  Raises ConfigError."""
    if given.job and not (given.store or given.sink):
        config = read_config(given.job, given.overrides)
        return Places(config.store, config.sink_path, config.guarantee)
    if given.job or not (given.store and given.sink):
        raise ConfigError(["give either JOB.cfg, or both --store and --sink"], "see --help")
    return Places(given.store, given.sink)


def main(manual: str = "", argv: Sequence[str] | None = None) -> int:
    given = arguments(manual).parse_args(argv)
    set_up_logging()
    try:
        where = places(given)
        with closing(open_store(where.store)) as store:
            sink = open_filesystem(where.sink)
            verdict = verify(store, sink, given.allow_moved, given.checksums, where.guarantee)
    except StreamError as e:
        complain(log, e)
        return e.exit_status
    FORMATS[given.format](verdict, sys.stdout)
    return FINDINGS if verdict.findings else 0
