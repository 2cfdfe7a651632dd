#!/usr/bin/env python3
"""Shows what became of a job's offsets: commits, resets, takeovers and losses, with who, when and which ranges.

It reads only and takes no lock; run it beside a live run whenever you like. The newest stands last.
With --undo --execute it changes something: it undoes the last reset.

examples:
  offset_history.py job.cfg
  offset_history.py job.cfg --limit 500 --topic orders:0,1         what moved these partitions, among the newest 500
  offset_history.py job.cfg --format csv                           a line a partition that moved
  offset_history.py --store zookeeper://zk1:2181/apps/orders --sink webhdfs://namenode:9870/lake/orders --format json
  offset_history.py job.cfg --undo                                 what an undo of the last reset would move
  offset_history.py job.cfg --undo --execute --reason "wrong day"  undoes it: a reset to the very offsets before it

--undo works while nothing was committed behind the reset, of resets by hand and by source.startFresh; an undo can be
undone the same way. Later it is refused, and shows the plain reset that would do: of the partitions that were moved, to
where they were, as a table and as a command. A live run is refused with 75, as by reset_offsets.py; --force fences it.

kinds:
  create    the first register        takeover  a launch, or a reset, has taken it: older drivers are fenced
  prepare   a batch is decided        commit    its offsets are committed
  reset     a person moved offsets    loss      the job went on behind records that Kafka has lost
  rebuild   the register was rebuilt from the batch log
GENERATION and EPOCH count resets and losses, and takeovers. BATCH is the number of the batch, or of the one that came
next. A store in ZooKeeper keeps one state, so older ones are told from the sink: from its batch log without prepares
and without the reasons of resets, and takeovers from the reports of runs that ended by themselves.

exit status:
  0 shown, or undone   1 refused: no rights, or --undo of a reset behind which something was committed
  2 configuration   3 the register is damaged (older states are shown), or it does not belong to the sink
  69 the store did not answer, or the sink did not: then what the store knows is shown
  75 a run holds the lock, or another one has written meanwhile
"""

import sys
from pathlib import Path

_root = Path(__file__).resolve().parent.parent
if (_root / "streaming" / "__init__.py").is_file():  # a checkout; an installed script has its packages on the path
    sys.path.insert(0, str(_root))

try:
    from streaming.commands.offset_history import main
except ModuleNotFoundError as e:
    sys.exit(
        f"offset_history: {sys.executable} has no module {e.name}; "
        "install kafka-direct-streaming for this Python, or in a checkout run ./scripts/demo --help once "
        "(it makes .venv), then: . .venv/bin/activate"
    )

if __name__ == "__main__":
    sys.exit(main(__doc__))
