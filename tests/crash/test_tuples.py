"""Every tuple failpoint x action x profile x store: one fault, one clean launch, and all that is promised holds.

A seeded tenth runs in the plain suite, the others in `full`; CRASH_SEED chooses it.  One tuple alone:

    python -m pytest 'tests/crash/test_tuples.py::test_tuple[ID]'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future

import pytest

from tests.crash.matrix import ALL, tenth
from tests.crash.plain.fixtures import side_by_side
from tests.crash.plain.running import Bench, Outcome, Tuple
from tests.crash.seed import SEED

CHOSEN = tenth(SEED)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Mapping[str, Future[Outcome]]]:
    """All tuples that this run has selected, under way side by side."""
    items = [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
    with side_by_side(bench, [item.callspec.params["case"] for item in items]) as futures:  # type: ignore[attr-defined]
        yield futures


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.id, marks=() if c.id in CHOSEN else pytest.mark.full) for c in ALL]
)
def test_tuple(outcomes: Mapping[str, Future[Outcome]], case: Tuple) -> None:
    """The fault happens, and afterwards no invariant is violated."""
    outcome = outcomes[case.id].result()
    assert outcome.landed, outcome.story
    assert not outcome.violated, f"{outcome.violated}\n{outcome.story}"
