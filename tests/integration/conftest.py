"""Topics and jobs for the tests of whole launches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.kafka_server import Kafka
from tests.integration.jobs import Job, Topics, new_job


@pytest.fixture(scope="session")
def topics(kafka: Kafka) -> Topics:
    """Makes, fills, cuts and deletes topics."""
    return Topics(kafka)


@pytest.fixture
def job(kafka: Kafka, tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """`job(topic, section__key=value, ...)` writes a job file; whatever was started on it ends with the test."""
    made: list[Job] = []

    def make(topic: str, name: str = "job", **settings: str) -> Job:
        made.append(new_job(tmp_path / name, kafka, topic, **settings))
        return made[-1]

    yield make
    for each in made:
        each.end()
