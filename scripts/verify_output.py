#!/usr/bin/env python3
"""Compares batch log, published files and register of a job: nothing lost, nothing doubled, nothing foreign.

It reads only, takes no lock and changes nothing; run it beside a live run whenever you like.

examples:
  verify_output.py job.cfg
  verify_output.py job.cfg --checksums                    reads every file too, and compares its CRC-32
  verify_output.py job.cfg --allow-moved                  consumers move published files away
  verify_output.py --store zookeeper://zk1:2181/apps/orders --sink webhdfs://namenode:9870/lake/orders --format json

stdout: the partitions with the offsets that the batch log vouches for, counts, and one line for each finding
  kind path-or-partition: what is wrong
kinds: gap overlap missing truncated too-long changed foreign doubled left-over named-twice misnamed
  missing-entry damaged-entry foreign-entry misplaced-entry
  register-lost register-ahead register-behind damaged-register marker-lost damaged-marker mismatch

exit status:
  0 in order   1 refused, e.g. no rights   2 configuration   4 findings   69 a server was unavailable
"""

import sys
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "streaming" / "__init__.py").is_file():  # a checkout; an installed script has its packages on the path
    sys.path.insert(0, str(_root))

try:
    from streaming.commands.verify_output import main
except ModuleNotFoundError as e:
    sys.exit(
        f"verify_output: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

if __name__ == "__main__":
    sys.exit(main(__doc__))
