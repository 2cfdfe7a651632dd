"""Launches the job every few seconds, whether or not a launch is at work, and knows how each of them ended."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from demonstration.launches import Launch, end_all

from servers.server import JVM

SECONDS = (4.0, 8.0)  # from one launch to the next
AT_ONCE = 3  # a machine that starts Spark slowly is not buried in launches
MODES = (("--available-now",), ("--duration", "20s"), ("--duration", "40s"))
SLOWLY = ("--set", "job.function=soaked:slow")
JAVA = ("--driver-java-options", " ".join(JVM))  # half the CPU time of Spark's start, which most launches are made of
QUICKLY = ("--set", "job.function=soaked:row", "--set", "source.maxOffsetsPerTrigger=50000")
DEFECT = "this is a bug"  # what run_stream.py says of an exception that nobody has thought of


@dataclass(frozen=True)
class Ended:
    """One launch that is over."""

    launch: Launch
    status: int

    @property
    def wrong(self) -> str:
        """Why it should not have ended so, whatever was done to it; empty if it may."""
        if self.status in (2, 3):
            return f"exit {self.status}, which no fault of a soak explains"
        return f"{DEFECT!r}" if DEFECT in self.launch.output else ""


class Cron(threading.Thread):
    """Starts launches until `stop`; `launches` are all of them, the newest last."""

    def __init__(self, job: Path, seed: int) -> None:
        super().__init__(name="cron", daemon=True)
        self.job, self.launches = job, list[Launch]()
        self._random, self._over = random.Random(f"{seed} cron"), threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            mode = self._random.choice(MODES)
            pause = self._random.uniform(*SECONDS)
            if len(self.running()) < AT_ONCE:
                self.launch(*mode, *SLOWLY)
            self._over.wait(pause)

    def launch(self, *options: str) -> Launch:
        log = self.job.with_name(f"launch-{len(self.launches):03}.log")
        self.launches.append(Launch(self.job, log, *options, spark_options=JAVA))
        return self.launches[-1]

    def running(self) -> list[Launch]:
        return [launch for launch in self.launches if launch.running]

    def stop(self) -> None:
        """No more launches; those that run go on."""
        self._over.set()
        if self.is_alive():
            self.join()

    def drain(self, seconds: float) -> None:
        """SIGTERM for the drivers of all that run, also of those that have none yet; for so long at most."""
        end = time.monotonic() + seconds
        while self.running() and time.monotonic() < end:
            for driver in filter(None, [launch.find("driver") for launch in self.running()]):
                with suppress(psutil.NoSuchProcess):
                    driver.terminate()
            time.sleep(0.5)

    def ended(self) -> list[Ended]:
        return [Ended(launch, launch.wait()) for launch in self.launches if not launch.running]

    def statuses(self) -> Counter[int]:
        return Counter(ended.status for ended in self.ended())

    def kill(self) -> None:
        end_all(self.launches)
