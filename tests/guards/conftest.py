"""Topics and jobs of the tests of guards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from servers.kafka_server import Kafka
from tests.integration.jobs import Job, Topics, new_job


@pytest.fixture(scope="session")
def topics(kafka: Kafka) -> Topics:
    """Makes, fills, cuts and deletes topics."""
    return Topics(kafka)


@pytest.fixture
def job(kafka: Kafka, tmp_path: Path) -> Callable[..., Job]:
    """`job(topic, section__key=value, ...)` writes a job file."""

    def make(topic: str, name: str = "job", **settings: str) -> Job:
        return new_job(tmp_path / name, kafka, topic, **settings)

    return make
