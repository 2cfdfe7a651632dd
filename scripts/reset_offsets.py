#!/usr/bin/env python3
"""Moves a job's offsets: shows what that would do, and with --execute begins a new generation there.

Without --execute it writes nothing and takes no lock; run it beside a live run whenever you like.  --execute waits for
the lock, publishes a batch that a crash has left prepared, and then moves the offsets in one write: the next launch
reads from there and publishes what it reads again under new names.  Published files are never touched.

examples:
  reset_offsets.py job.cfg --topic orders --to-earliest                    what would it do?
  reset_offsets.py job.cfg --topic orders --to-earliest --execute --reason "rows were wrong until today"
  reset_offsets.py job.cfg --topic orders:0,2 --shift-by -1000             two partitions, a thousand records back
  reset_offsets.py job.cfg --all-topics --to-datetime 2026-11-21T09:30:00.000
  reset_offsets.py job.cfg --all-topics --by-duration PT6H                 what came in the last six hours
  reset_offsets.py job.cfg --all-topics --to-current                       the way on after a data loss
  reset_offsets.py job.cfg --export offsets.json                           keep the offsets as they are
  reset_offsets.py job.cfg --from-file offsets.json --execute              and put them back
  reset_offsets.py --store file:///var/lib/job --bootstrap-server broker1:9092 --all-topics --to-latest

Modes, times and the CSV of files are those of kafka-consumer-groups --reset-offsets, with these differences: the end is
the last stable offset, behind which only open transactions are; --to-current moves an offset that Kafka no longer has
to the nearest one that it has, and begins what is new to the register at its log start.
A batch that is pending and can never be finished (its staging is lost, a file is in its way, a direct sink is gone) is
given up by --discard-pending: first without --execute, which shows what of it is lost, and what is visible already.
An offset outside of what Kafka has is moved to its log start or end, and said.  Times without a zone are UTC.
READ-AGAIN and SKIPPED count offsets, so aborted and control records too.

exit status:
  0 shown, or done   1 refused, e.g. no rights   2 configuration: every mistake at once, also names that do not exist
  3 register and sink do not belong together, a pending batch cannot be finished from here, or a topic is gone
  69 a server was unavailable   75 a run holds the lock, or was quicker
  Unless it is 0, no offset was moved; but a 69 may say where to see whether it was.
"""

import sys
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "streaming" / "__init__.py").is_file():  # a checkout; an installed script has its packages on the path
    sys.path.insert(0, str(_root))

try:
    from streaming.commands.reset_offsets import main
except ModuleNotFoundError as e:
    sys.exit(
        f"reset_offsets: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

if __name__ == "__main__":
    sys.exit(main(__doc__))
