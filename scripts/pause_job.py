#!/usr/bin/env python3
"""Pauses a job: launches leave at once with exit 0, and a continuous run ends after the batch in flight.

The switch is _paused.json in the job's sink; cron may go on launching. A batch that is prepared waits for the resume.

examples:
  pause_job.py job.cfg --reason "HDFS upgrade, ticket 4711"    pauses
  pause_job.py job.cfg                                         says whether it is paused, by whom, since when and why
  pause_job.py job.cfg --resume                                lifts the pause; the next launch goes on
  pause_job.py --sink webhdfs://namenode:9870/lake/orders      without a job file

stdout: one line, what is the case now. A job that is paused already stays paused as it was.

exit status:
  0 done   1 refused, e.g. no rights   2 configuration   69 the sink was unavailable
"""

import sys
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "streaming" / "__init__.py").is_file():  # a checkout; an installed script has its packages on the path
    sys.path.insert(0, str(_root))

try:
    from streaming.commands.pause_job import main
except ModuleNotFoundError as e:
    sys.exit(
        f"pause_job: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

if __name__ == "__main__":
    sys.exit(main(__doc__))
