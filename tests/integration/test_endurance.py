"""A week in small: thousands of batches in one process, on real Kafka and Spark; nothing grows, nothing slows down."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.jobs import Job, Topics, once

BATCHES = int(os.environ.get("ENDURANCE_BATCHES", "4000"))  # 20,000 are a week in small, in some 20 minutes
RECORDS = 2  # of a batch
SECONDS = 3 * 3600.0
LOOK_SECONDS = 5.0
LINE = re.compile(r"batch (\d+): .* in ([\d.]+) s ")
MIB = 1 << 20


@dataclass(frozen=True)
class Look:
    """MiB of the driver, the JVM and the Python workers, and files that are no data, after so many batches.

    `cpu`: seconds of all of them.
    """

    batches: int
    cpu: float
    driver: float
    jvm: float
    workers: float
    files: int


def looks(job: Job, driver: psutil.Process, log: Path) -> Iterator[Look]:
    """One every few seconds, while the run lives."""
    while driver.is_running() and driver.status() != psutil.STATUS_ZOMBIE:
        time.sleep(LOOK_SECONDS)
        with suppress(psutil.NoSuchProcess):
            family = driver.children(recursive=True)
            size = {process: process.memory_info().rss / MIB for process in (driver, *family)}
            jvm = sum(mib for process, mib in size.items() if process.name() == "java")
            cpu = sum(process.cpu_times().user + process.cpu_times().system for process in size)
            workers = sum(size.values()) - size[driver] - jvm
            done = log.read_text().count(" INFO batch ")
            yield Look(done, cpu, size[driver], jvm, workers, control_files(job))


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
    early = [look for look in seen if tenth <= look.batches <= 3 * tenth]
    late = [look for look in seen if look.batches >= BATCHES - 2 * tenth]
    assert statistics.median(seconds[-tenth:]) <= 1.2 * statistics.median(seconds[tenth : 2 * tenth])
    assert cpu_of_a_batch(late) <= 1.2 * cpu_of_a_batch(early)
    assert max(look.driver for look in late) <= max(look.driver for look in early) + 15
    assert max(look.workers for look in late) <= max(look.workers for look in early) + 15
    assert max(look.jvm for look in late) <= 900
    assert max(look.files for look in late) <= 500 + 200 + 50


def cpu_of_a_batch(span: Sequence[Look]) -> float:
    """Seconds of all processes: other load on the machine does not change it."""
    return (span[-1].cpu - span[0].cpu) / (span[-1].batches - span[0].batches)


def tell(seen: list[Look], seconds: list[float]) -> None:
    """The figures, for pytest -rP."""
    part = max(len(seconds) // 10, 1)
    print(
        "ms a batch, by tenths:",
        [round(statistics.median(seconds[n : n + part]) * 1000) for n in range(0, len(seconds), part)],
    )
    for look in seen[:: max(len(seen) // 12, 1)]:
        print(look)
