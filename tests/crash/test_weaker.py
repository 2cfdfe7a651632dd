"""The weaker profiles are weaker: what they permit does happen, in the batch in flight, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.invariants import nothing_doubled, nothing_lost
from tests.crash.plain.crew import Crew
from tests.crash.plain.running import Bench, Tuple, run_tuple


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


@pytest.mark.parametrize("kind", ["staged", "direct"])
def test_at_least_once_doubles(bench: Bench, crew: Crew, kind: str) -> None:
    """Killed before COMMIT, when all of a batch can be seen: the batch is there twice, and no other is."""
    outcome = run_tuple(bench, crew, Tuple(("at-least-once", kind), "file", "commit.before", "kill", 2))
    assert outcome.landed, outcome.story
    assert not outcome.violated, f"{outcome.violated}\n{outcome.story}"
    assert list(nothing_doubled(outcome.evidence))
    assert not list(nothing_lost(outcome.evidence))


@pytest.mark.parametrize("kind", ["staged", "direct"])
def test_at_most_once_loses(bench: Bench, crew: Crew, kind: str) -> None:
    """Killed behind COMMIT, when nothing of a batch can be seen: that batch is lost, and no other is."""
    outcome = run_tuple(bench, crew, Tuple(("at-most-once", kind), "file", "commit.after", "kill", 2))
    assert outcome.landed, outcome.story
    assert not outcome.violated, f"{outcome.violated}\n{outcome.story}"
    assert list(nothing_lost(outcome.evidence))
    assert not list(nothing_doubled(outcome.evidence))
