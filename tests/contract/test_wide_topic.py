"""Operators' scripts on 10,000 partitions of the real broker: under 5 s each, as an operator feels it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demonstration.launches import ROOT, environment

from offsets.errors import UnavailableError
from servers.kafka_server import Kafka
from tests.contract.wide_topic import LAGGING, PARTITIONS, register_of, wide_topic

pytestmark = pytest.mark.full
SECONDS = 5.0  # what the project promises, on a machine that has nothing else to do
PATIENCE, TRIES = 24.0, 5  # times that here, where other tests may run


@pytest.fixture(scope="module")
def wide(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The topic, and the arguments that name its places."""
    store = f"file://{tmp_path_factory.mktemp('wide')}/offsets"
    with wide_topic(kafka) as topic:
        register_of(kafka, topic, store)
        yield topic, ["--store", store, "--bootstrap-server", kafka.bootstrap]


def cpu_seconds() -> float:
    """Of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(script: str, *options: str) -> str:
    """Its stdout; how long it took is printed.  Once more while a busy machine's broker does not answer in time."""
    command = [sys.executable, str(ROOT / "scripts" / script), *options]
    for _ in range(TRIES):
        began, before = time.monotonic(), cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=SECONDS * PATIENCE)
        took, work = time.monotonic() - began, cpu_seconds() - before
        print(f"{script} {options[-1]}: {took:.1f} s, {work:.1f} s of CPU, exit {done.returncode}")
        if done.returncode != UnavailableError.exit_status:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_show_offsets(wide: tuple[str, list[str]], form: str) -> None:
    """Every partition is shown, with its lag."""
    topic, places = wide
    said = timed("show_offsets.py", *places, "--format", form)
    if form == "json":
        rows = json.loads(said)["partitions"]
        assert [sum(row["lag"] for row in rows), len(rows)] == [LAGGING, PARTITIONS]
        aged = sum(row["timeLag"] is not None for row in rows)
        print(f"{aged} of {LAGGING} next records")
        assert 0 < aged <= LAGGING
    assert said.count(topic) >= PARTITIONS


@pytest.mark.parametrize("mode", [["--to-latest"], ["--by-duration", "PT1H"], ["--from-file"]], ids=" ".join)
def test_reset_offsets(wide: tuple[str, list[str]], mode: list[str], tmp_path: Path) -> None:
    """A dry run shows where every partition would go; a file of as many offsets is read."""
    topic, places = wide
    file = tmp_path / "offsets.json"
    file.write_text(json.dumps({topic: dict.fromkeys(map(str, range(PARTITIONS)), 0)}, indent=1))
    more = [str(file)] if mode == ["--from-file"] else ["--all-topics"]
    said = timed("reset_offsets.py", *places, *mode, *more)
    assert said.count(topic) >= PARTITIONS
    assert (f"skipped:       {LAGGING:,} records at most" in said) == ("--to-latest" in mode)
