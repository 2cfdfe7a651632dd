"""The tuples of registers in a database, SQLite and PostgreSQL: one for each thing that can go wrong there.

The protocol and the sinks are those of all other stores (test_tuples.py); what is new is how the register is written,
and when the lock of a dead or frozen driver is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace

import pytest

from servers.postgres_server import Postgres
from tests.crash.matrix import PREPARED, STRONGEST
from tests.crash.plain.bench import DATABASES
from tests.crash.plain.fixtures import side_by_side
from tests.crash.plain.running import Bench, Outcome, Tuple

POINTS = (
    ("replace.before", "kill", 5),  # of the second batch
    ("prepare.sent", "kill", 2),
    ("prepare.sent", "lose", 2),
    ("prepare.before", "freeze", 2),
    ("publish.each", "freeze", 9),
    ("commit.sent", "kill", 2),
    ("commit.after", "freeze", 2),
)
WEAKER = (
    (("at-least-once", "staged"), "commit.before", "kill"),
    (("at-most-once", "staged"), "commit.sent", "kill"),
    (("exactly-once", "direct"), "commit.sent", "kill"),
)
CASES = [
    case
    for store in DATABASES
    for case in (
        *(Tuple(STRONGEST, store, point, action, hit) for point, action, hit in POINTS),
        *(Tuple(profile, store, point, action, 2) for profile, point, action in WEAKER),
        Tuple(STRONGEST, store, "reset.sent", "kill", 1, PREPARED, reset=True),
        Tuple(STRONGEST, store, "reset.before", "freeze", 1, PREPARED, reset=True),
    )
]
PLAIN = ("commit.sent-kill", "publish.each-freeze")


def plain(case: Tuple) -> bool:
    return case.profile == STRONGEST and f"{case.point}-{case.action}" in PLAIN


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, bench: Bench, postgres: Postgres
) -> Iterator[Mapping[str, Future[Outcome]]]:
    """All tuples that this run has selected, under way side by side."""
    items = [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
    cases = [item.callspec.params["case"] for item in items]  # type: ignore[attr-defined]
    with side_by_side(replace(bench, postgres=postgres.url), cases) as futures:
        yield futures


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", [pytest.param(c, id=c.id, marks=() if plain(c) else pytest.mark.full) for c in CASES])
def test_tuple(outcomes: Mapping[str, Future[Outcome]], case: Tuple) -> None:
    """The fault happens, and afterwards no invariant is violated."""
    outcome = outcomes[case.id].result()
    assert outcome.landed, outcome.story
    assert not outcome.violated, f"{outcome.violated}\n{outcome.story}"
