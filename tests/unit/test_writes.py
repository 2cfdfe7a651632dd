"""A direct sink's batch that fails: what is said of the next launch.  No Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offsets.errors import BatchError
from offsets.planning import Plan
from offsets.structs import OffsetRange, TopicState
from streaming.config.reading import load
from streaming.run.batch import Batch
from streaming.run.writes import write_with
from streaming.sinks import direct
from streaming.sinks.file import open_sink
from streaming.sinks.names import StagingPlace
from tests.unit import job_file

PER_BATCH = """
from streaming.custom_sinks import each_batch

@each_batch(idempotent=True)
def write(batch, rdd): ...
"""
PER_PARTITION = """
from streaming.custom_sinks import each_partition

@each_partition(idempotent=True)
def write(offset_range, records): ...
"""
BATCH = Batch(Plan((OffsetRange("t", 0, 0, 9),), {"t": TopicState("id", {0: 0})}), StagingPlace(0, 1, 2), 3)


class Rdd:
    """Every job on it fails."""

    def __init__(self, told: str) -> None:
        self._told = told

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(self._told)


@pytest.fixture(autouse=True)
def sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "per_batch.py").write_text(PER_BATCH)
    (tmp_path / "per_partition.py").write_text(PER_PARTITION)
    direct.opened.cache_clear()


def failure(folder: Path, told: str, sink: str, *settings: str) -> BatchError:
    text = job_file.JOB.format(folder=folder)
    config = load("job.cfg", text, [f"sink.class={sink}:write", *settings], {})
    write = write_with(config, f"{sink}:write", open_sink(config.sink_path), "a" * 32)
    with pytest.raises(BatchError) as raised:
        write(Rdd(told), BATCH)  # type: ignore[arg-type]
    direct.opened.cache_clear()
    return raised.value


@pytest.mark.parametrize("sink", ["per_batch", "per_partition"])
def test_the_remedy_says_what_the_next_launch_does(tmp_path: Path, sink: str) -> None:
    """By guarantee; at-most-once says it where it names what is lost."""
    for guarantee, told in (
        ("exactly-once", "the next launch writes exactly these ranges again"),
        ("at-least-once", "will be there twice"),
        ("at-most-once", ""),
    ):
        error = failure(tmp_path, "mine", sink, f"job.delivery.guarantee={guarantee}")
        assert "mine" in str(error)
        assert told in error.remedy
        assert bool(told) == ("next launch" in error.remedy)


def test_a_worker_that_died_may_have_hung(tmp_path: Path) -> None:
    """Told only where there is a timeout that could have ended it."""
    crashed = "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)"
    limited = failure(tmp_path, crashed, "per_partition", "sink.timeout.ms=3000")
    assert "per_partition:write may have hung where nothing can interrupt it" in limited.remedy
    assert "10 s after sink.timeout.ms = 3000" in limited.remedy
    assert "hung" not in failure(tmp_path, crashed, "per_partition").remedy
    assert "hung" not in failure(tmp_path, "mine", "per_partition", "sink.timeout.ms=3000").remedy
