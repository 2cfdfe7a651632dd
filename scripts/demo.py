#!/usr/bin/env python3
"""The main job, watched: Kafka to HDFS exactly once while the job is killed and launched again.  Run ./scripts/demo.

examples:
  ./scripts/demo                                   offsets in ZooKeeper, files in HDFS, 200,000 records
  ./scripts/demo --offsets hdfs                    no ZooKeeper
  ./scripts/demo --offsets file --sink local       no ZooKeeper, no HDFS
  ./scripts/demo --keep                            servers and files stay; scripts/sandbox.py --data ... down ends them

exit status: 0 every record landed exactly once; 1 not, or a step failed; 130 interrupted
"""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from demonstration.story import STORES, Story


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offsets", choices=STORES, default=STORES[0], help="where offsets are kept")
    parser.add_argument("--sink", choices=("hdfs", "local"), default="hdfs", help="where the files land")
    parser.add_argument("--records", type=int, default=200_000, help="records to produce (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave the servers running and the files in place")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="kafka-direct-demo-"))
    story = Story(folder, given.offsets, given.sink, given.records)
    if not given.keep:
        story.sandbox.end_with_me()
    try:
        return story.run()
    except KeyboardInterrupt:
        return 130
    finally:
        story.end(given.keep)
        if given.keep:
            story.tell(f"kept: {folder}; end the servers with scripts/sandbox.py down --data {folder / 'servers'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
