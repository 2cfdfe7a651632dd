"""The row of the table that a test lives through, by its name; topics and jobs as in tests/guards."""

from __future__ import annotations

import pytest

from tests.guards.conftest import job, topics
from tests.incidents.table import Incident, incidents

__all__ = ["incident", "job", "topics"]


@pytest.fixture
def incident(request: pytest.FixtureRequest) -> Incident:
    (found,) = (each for each in incidents() if f"test_{each.slug}" == request.function.__name__)
    return found
