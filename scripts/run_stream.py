#!/usr/bin/env python3
"""Lands Kafka topics in files, every record exactly once.  For cron, spark-submit and plain python.

examples:
  spark-submit scripts/run_stream.py job.cfg --available-now      from cron: to the end offsets seen now, then exit
  python scripts/run_stream.py job.cfg                            until SIGTERM or Ctrl-C, after the batch in flight
  run_stream.py job.cfg --set source.maxOffsetsPerTrigger=50000   one setting changed for this run
  run_stream.py job.cfg --set "spark.spark.master=local[4]"       names in [spark] begin with spark. themselves

exit status:
  0 done, or the job is paused   1 failed   2 configuration
  3 data loss, or a replaced topic, or register and sink do not match
  69 a server was unavailable past the deadline   75 another run holds the lock
  spark-submit itself ends at once on SIGTERM (143) and Ctrl-C (130); the next launch finishes the batch
"""

import sys
from pathlib import Path

# spark-submit knows only this file: a checkout's packages are beside this folder, installed ones are on the path.
_root = Path(__file__).resolve().parent.parent
if (_root / "streaming" / "__init__.py").is_file():
    sys.path.insert(0, str(_root))

try:
    from streaming.commands.run_stream import main
    from streaming.run.session import STOP_SECONDS, leave_after
except ModuleNotFoundError as e:
    sys.exit(
        f"run_stream: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

if __name__ == "__main__":
    status = main(__doc__)
    leave_after(STOP_SECONDS, status)  # threads of a sink that has hung: all is told, and they keep no process alive
    sys.exit(status)
