"""The row of the table that a test lives through, by its name; topics, jobs and drivers as elsewhere."""

from __future__ import annotations

import pytest

from tests.guards.conftest import job, topics
from tests.incidents.table import Incident, incidents
from tests.takeover.conftest import drivers

__all__ = ["drivers", "incident", "job", "topics"]


@pytest.fixture
def incident(request: pytest.FixtureRequest) -> Incident:
    (found,) = (each for each in incidents() if f"test_{each.slug}" == request.function.__name__)
    return found
