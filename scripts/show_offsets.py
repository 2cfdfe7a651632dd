#!/usr/bin/env python3
r"""Shows how a job stands: committed offsets, log ends, lag, a pending batch, who runs it, and when it last did well.

It reads only and takes no lock; run it beside a live run whenever you like.

examples:
  show_offsets.py job.cfg
  show_offsets.py job.cfg --format csv                 a line of column names, then a line a partition
  show_offsets.py job.cfg --topic orders:0,1 --topic returns
  show_offsets.py job.cfg --max-age 15m >/dev/null     for a monitor: exit 5 when the last success is older
  show_offsets.py job.cfg --warn-below 2h >/dev/null   exit 5 when Kafka deletes unread records in less than that
  show_offsets.py --store zookeeper://zk1:2181/apps/orders --bootstrap-server broker1:9092 \
      --sink webhdfs://namenode:9870/lake/orders       without a job file; only --store is needed

LOG-START-OFFSET and LOG-END-OFFSET are Kafka's own, as kafka-consumer-groups shows them; LAG counts the offsets from
CURRENT-OFFSET to the end, so aborted and control records too. Only what lies before LAST-STABLE-OFFSET can be read now:
an open transaction holds back the rest. PENDING is where the batch in flight ends.
TIME-LAG is how old the next record is. TIME-LEFT is when its log will begin behind it, if Kafka goes on deleting as it
did since the oldest reports of runs in the sink. JSON and CSV give both in seconds. "-" is for what is not known, or
where nothing is to be read.
A success is a commit, or a run that exited 0 because there was nothing new. A launch that found the job paused is none.

exit status:
  0 shown   1 refused, e.g. no rights   2 configuration   3 the register is damaged
  5 the last success is older than --max-age, or there was none; or a partition has less time left than --warn-below
  69 the store did not answer, or Kafka or the sink did not: then the rest is shown, and "-" for what is not known
"""

import sys
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "streaming" / "__init__.py").is_file():  # a checkout; an installed script has its packages on the path
    sys.path.insert(0, str(_root))

try:
    from streaming.commands.show_offsets import main
except ModuleNotFoundError as e:
    sys.exit(
        f"show_offsets: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

if __name__ == "__main__":
    sys.exit(main(__doc__))
