"""Sinks that are given each batch as a whole keep what a job promises: killed, frozen and fenced like any other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.plain.crew import Crew
from tests.crash.plain.running import Bench, Tuple, run_tuple

PLANTED = "tests.crash.plain.batchwise:per_batch"
FULL = pytest.mark.full
CASES = (
    ("exactly-once", "fetch.mid", "kill"),
    pytest.param("exactly-once", "prepare.sent", "kill", marks=FULL),
    ("exactly-once", "write.after", "kill"),
    pytest.param("exactly-once", "log.after", "kill", marks=FULL),
    pytest.param("exactly-once", "commit.sent", "kill", marks=FULL),
    pytest.param("exactly-once", "write.before", "freeze", marks=FULL),
    pytest.param("at-least-once", "fetch.mid", "kill", marks=FULL),
    pytest.param("at-least-once", "commit.before", "kill", marks=FULL),
    ("at-most-once", "fetch.mid", "kill"),
    pytest.param("at-most-once", "task.claim", "kill", marks=FULL),
    pytest.param("at-most-once", "write.after", "kill", marks=FULL),
)


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


@pytest.mark.parametrize(("guarantee", "point", "action"), CASES)
def test_a_fault(bench: Bench, crew: Crew, guarantee: str, point: str, action: str) -> None:
    """In the second batch; the clean launch behind it ends with what the guarantee permits, and no more."""
    store = "hdfs" if action == "freeze" else "file"
    outcome = run_tuple(bench, crew, Tuple((guarantee, "direct"), store, point, action, 2), PLANTED)
    assert outcome.landed, outcome.story
    assert not outcome.violated, f"{outcome.violated}\n{outcome.story}"
    assert outcome.evidence.direct
