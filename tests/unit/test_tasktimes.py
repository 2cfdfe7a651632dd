"""A task's steps are timed apart, though they run interleaved."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from streaming.tasks.times import Metered, added_up, in_steps


def test_each_step_is_told_its_own_time() -> None:
    """What a step waits for the step before it is not its own; the end of the range is fetched too."""

    def fetched() -> Iterator[int]:
        for n in range(3):
            time.sleep(0.02)
            yield n
        time.sleep(0.02)

    def transformed(n: int) -> int:
        time.sleep(0.04)
        return -n

    began = time.perf_counter()
    chunks = Metered(fetched())
    groups = Metered(transformed(chunk) for chunk in chunks)
    written = []
    for group in groups:
        time.sleep(0.01)
        written.append(group)
    times = in_steps(chunks, groups, time.perf_counter() - began)
    assert written == [0, -1, -2]
    assert 0.08 <= times["fetch"] < times["transform"]
    assert times["transform"] >= 0.12
    assert times["write"] >= 0.03
    assert sum(times.values()) == pytest.approx(time.perf_counter() - began, abs=0.05)


def test_times_of_all_tasks() -> None:
    """They add up by step."""
    assert added_up([{"fetch": 0.1, "write": 0.25}, {"fetch": 0.2}, {}]) == {"tasks.fetch": 300, "tasks.write": 250}
