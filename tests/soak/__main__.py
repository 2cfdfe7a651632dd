"""./scripts/test soak: launches, producers and a consumer at work for minutes while everything around them is struck.

examples:
  ./scripts/test soak                                 10 minutes, offsets in ZooKeeper, files in HDFS
  ./scripts/test soak --minutes 2 --seed 7            the order of faults that seed 7 decides
  ./scripts/test soak --store file --sink local       only processes, the broker and topics are struck

Prints the seed, each fault with its time, target and the batch in flight that it landed in, how the launches ended, and
the verdict: every committed record is in exactly one file, nothing else is, and nothing is left to read.
exit status: 0 exact; 1 not, and the logs are kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import run_soak
from tests.soak.world import SINKS, STORES


def main(argv: list[str] | None = None) -> int:
    given = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="kafka-direct-soak-"))
    exact = False
    try:
        exact = run_soak(folder, given.minutes * 60, given.seed, given.store, given.sink).exact
    except KeyboardInterrupt:
        return 130
    finally:
        if exact:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"kept: the logs of launches, producers and servers in {folder}", flush=True)
    return 0 if exact else 1


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "./scripts/test soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (%(default)g)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="default: any")
    parser.add_argument("--store", choices=STORES, default=STORES[0], help="where offsets are kept (%(default)s)")
    parser.add_argument("--sink", choices=SINKS, default=SINKS[0], help="where the files land (%(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
