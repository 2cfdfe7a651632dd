"""A week in small: thousands of batches in one process, on real Kafka and Spark; nothing grows, nothing slows down."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.jobs import Job, Topics, once

BATCHES = int(os.environ.get("ENDURANCE_BATCHES", "20000"))
RECORDS = 2  # of a batch
SECONDS = 3 * 3600.0
LOOK_SECONDS = 5.0
LINE = re.compile(r"batch (\d+): .* in ([\d.]+) s ")
MIB = 1 << 20


@dataclass(frozen=True)
class Look:
    """MiB of the driver, the JVM and the Python workers, and files that are no data, after so many batches."""

    batches: int
    driver: float
    jvm: float
    workers: float
    files: int


def looks(job: Job, driver: psutil.Process, log: Path) -> Iterator[Look]:
    """One every few seconds, while the run lives."""
    while driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE:
        time.sleep(LOOK_SECONDS)
        try:
            family = driver.children(recursive=True)
            sizes = {p.name(): 0.0 for p in family}
            for process in family:
                sizes[process.name()] += process.memory_info().rss / MIB
            own = driver.memory_info().rss / MIB
        except psutil.NoSuchProcess:
            continue
        done = log.read_text().count(" INFO batch ")
        jvm = sizes.pop("java", 0.0)
        yield Look(done, own, jvm, sum(sizes.values()), control_files(job))


def control_files(job: Job) -> int:
    """Of the register, the log, staging and the reports: all that is not the topic's own data."""
    below = [job.folder / "offsets", *(path for path in job.lake.glob("_*"))]
    return sum(len(files) for path in below for _, _, files in os.walk(path))


@pytest.mark.full
@pytest.mark.timeout(SECONDS)
def test_a_week_in_small(topics: Topics, job: Callable[..., Job]) -> None:
    """Memory and files are bounded, the last batches are as fast as the first, and every record landed once."""
    topic = topics.create(partitions=1)
    topics.fill(topic, BATCHES * RECORDS)
    mine = job(
        topic,
        source__maxOffsetsPerTrigger=str(RECORDS),
        sink__retain__batches="500",
        offsets__retain__states="200",
        spark__spark__master="local[1]",
        spark__spark__driver__memory="512m",
    )
    run = mine.start("--available-now")
    seen = list(looks(mine, psutil.Process(run.process.pid), run.err))
    assert run.wait(60).status == 0, run.said[-2000:]
    seconds = [float(found[2]) for found in map(LINE.search, run.stderr.splitlines()) if found]
    assert (len(seconds), run.summary["batches"]) == (BATCHES, BATCHES)
    tell(seen, seconds)
    assert mine.landed() == once(topic, {0: (0, BATCHES * RECORDS)})
    tenth = BATCHES // 10
    assert statistics.median(seconds[-tenth:]) <= 1.2 * statistics.median(seconds[tenth : 2 * tenth])
    early = [look for look in seen if BATCHES * 0.1 <= look.batches <= BATCHES * 0.3]
    late = [look for look in seen if look.batches >= BATCHES * 0.8]
    assert max(look.driver for look in late) <= max(look.driver for look in early) + 15
    assert max(look.workers for look in late) <= max(look.workers for look in early) + 15
    assert max(look.jvm for look in late) <= 1200
    assert max(look.files for look in late) <= 500 + 200 + 50


def tell(seen: list[Look], seconds: list[float]) -> None:
    """The figures, for pytest -rP."""
    part = max(len(seconds) // 10, 1)
    print(
        "ms a batch, by tenths:",
        [round(statistics.median(seconds[n : n + part]) * 1000) for n in range(0, len(seconds), part)],
    )
    for look in seen[:: max(len(seen) // 12, 1)]:
        print(look)
