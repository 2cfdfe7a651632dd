"""Producers of numbered records, run after run until they are stopped, and what their logs say became of each."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from demonstration.launches import ROOT, environment

from tests.soak.world import COMPACTED, PLAIN

Place = tuple[str, int, int]  # topic, partition, offset; also topic, partition, number
RATES = {PLAIN: 400, COMPACTED: 200}  # records a second
RUN_SECONDS = 8
KEYS = {PLAIN: [], COMPACTED: ["--keys", "500", "--tombstones", "0.1"]}


class Producer(threading.Thread):
    """Fills one topic in transactions, some aborted, some left open, until `finish`; `log`: of all its runs."""

    def __init__(self, bootstrap: str, topic: str, folder: Path, seed: int) -> None:
        super().__init__(name=f"producer-{topic}", daemon=True)
        self.topic, self.log = topic, folder / f"{topic}.jsonl"
        self._servers, self._complaints = bootstrap, folder / f"{topic}.err"
        self._random, self._over = random.Random(f"{seed} {topic}"), threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """A run after the other: each ends what the one before it left open, and goes on with the next numbers."""
        while not self._over.is_set():
            more = ["--leave-open"] if self._random.random() < 0.5 else []
            if self._produce(RATES[self.topic] * RUN_SECONDS, *more) != 0:
                self._over.wait(0.5)  # the broker is away

    def finish(self) -> None:
        """Stops, and commits some last records: after them no transaction is open."""
        self._over.set()
        self.join()
        for _ in range(10):
            if self._produce(100) == 0:
                return
        raise RuntimeError(f"the last records of {self.topic} could not be sent: see {self._complaints}")

    def kill(self) -> None:
        self._over.set()
        if self._process is not None:
            self._process.kill()

    def _produce(self, records: int, *more: str) -> int:
        size = self._random.choice((20, 100, 300))
        command = [sys.executable, str(ROOT / "scripts" / "produce_sequence.py"), "--topic", self.topic, *more]
        command += ["--bootstrap-server", self._servers, "--records", str(records), "--log", str(self.log)]
        command += ["--rate", str(RATES[self.topic]), "--transactional", str(size), "--abort-every", "4"]
        with self._complaints.open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, *KEYS[self.topic]], stdout=subprocess.DEVNULL, stderr=errors, env=environment()
            )
        return self._process.wait()


@dataclass
class Produced:
    """What the producers' logs say."""

    acknowledged: dict[Place, int] = field(default_factory=dict)  # by place: the record's number
    unknown: set[Place] = field(default_factory=set)  # topic, partition, number

    @property
    def records(self) -> int:
        return len(self.acknowledged) + len(self.unknown)


def produced(logs: Iterable[Path]) -> Produced:
    found = Produced()
    for log in logs:
        for line in log.read_bytes().splitlines():
            entry = orjson.loads(line)
            topic, partition, number = entry["topic"], entry["partition"], entry["number"]
            if entry["outcome"] == "acknowledged":
                found.acknowledged[topic, partition, entry["offset"]] = number
            elif entry["outcome"] == "unknown":
                found.unknown.add((topic, partition, number))
    return found
