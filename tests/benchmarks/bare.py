"""The reference: librdkafka without Spark, without offsets of ours, without any promise; two processes, each a file.

    python bare.py BOOTSTRAP TOPIC FOLDER RECORDS PARTITION...

reads so many records of these partitions from the beginning, writes their values as lines, and prints when it began
and ended on the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

CHUNK = 10_000
# librdkafka's own defaults leave a full queue idle for a second.
CONFIG = {"enable.auto.commit": "false", "fetch.queue.backoff.ms": "5", "queued.min.messages": "100000"}


def bare_rate(bootstrap: str, topic: str, partitions: Sequence[int], records: int, folder: Path) -> float:
    """Records per second of two processes that share the partitions; starting Python is not counted."""
    command = [sys.executable, __file__, bootstrap, topic, str(folder), str(records // len(partitions))]
    shares = [partitions[0::2], partitions[1::2]]
    runs = [subprocess.Popen([*command, *map(str, s)], stdout=subprocess.PIPE, text=True) for s in shares if s]
    spans = [json.loads(run.communicate(timeout=600)[0]) for run in runs]
    return records / (max(end for _, end in spans) - min(began for began, _ in spans))


def main(bootstrap: str, topic: str, folder: str, each: str, *partitions: str) -> None:
    began = time.monotonic()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare", **CONFIG})
    consumer.assign([TopicPartition(topic, int(p), 0) for p in partitions])
    left = int(each) * len(partitions)
    with (Path(folder) / f"bare-{partitions[0]}").open("wb") as file:
        while left > 0:
            values = [m.value() for m in consumer.consume(CHUNK, 1.0) if m.error() is None]
            file.write(b"\n".join([*values, b""]))  # type: ignore[list-item]
            left -= len(values)
        os.fsync(file.fileno())
    print(json.dumps([began, time.monotonic()]))
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
