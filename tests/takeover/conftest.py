"""Topics, jobs and quick drivers for the tests of more than one launch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import job, topics
from tests.takeover.drivers import Drivers

__all__ = ["drivers", "job", "topics"]


@pytest.fixture
def drivers() -> Iterator[Drivers]:
    """`drivers.start(job.path, ...)`, `drivers.run(job.path)`; all that are left end with the test."""
    made = Drivers()
    yield made
    made.end()
