"""The benchmark reads what a run really says of its batches."""

from __future__ import annotations

import pytest

from offsets.structs import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, Manifest
from streaming.run.progress import BatchReport
from tests.benchmarks.batches import batches_in, rate, where_time_goes


def line(at: str, seq: int, records: int, seconds: float, guarantee: str = EXACTLY_ONCE, **steps: int) -> str:
    manifest = Manifest("app", 0, 1, seq, (), {}, (), records, 0, guarantee=guarantee)
    return f"2026-11-21 {at} INFO {BatchReport(manifest, (), steps, seconds, 0).line()}\n"


def test_lines_of_batches() -> None:
    """Each batch line is found among the others, with its steps; what no step has is told as well."""
    tasks = {"tasks.fetch": 1700}
    log = "2026-11-21 10:00:00,000 INFO of bench\n" + line("10:00:02,000", 1, 400_000, 1.0, plan=10, stage=900, **tasks)
    log += line("10:00:03,500", 2, 400_000, 1.0, plan=10, stage=900) + line("10:00:05,000", 3, 200_000, 1.0, stage=900)
    found = batches_in(log)
    assert [b.records for b in found] == [400_000, 400_000, 200_000]
    assert rate(found) == pytest.approx(600_000 / 3.0)
    assert where_time_goes(found) == {"plan": 10, "stage": 900, "tasks.fetch": 0, "start": 90, "gap": 500}


@pytest.mark.parametrize("guarantee", [AT_LEAST_ONCE, AT_MOST_ONCE])
def test_lines_say_what_is_weaker(guarantee: str) -> None:
    """A batch under another guarantee than exactly-once says so, and is read as the others are."""
    weaker = line("10:00:02,000", 1, 400, 1.0, guarantee, stage=900)
    assert f", lag 0, {guarantee}; ms: stage=900" in weaker
    assert "once" not in line("10:00:02,000", 1, 400, 1.0, stage=900)
    assert [b.records for b in batches_in(weaker)] == [400]
