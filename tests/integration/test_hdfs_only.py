"""A job that needs HDFS and nothing else: register, lock and files all there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from offsets.stores import open_store
from servers.hdfs_server import Hdfs
from tests.integration.jobs import Job, Topics, once

BATCH = 20  # records of two partitions


@pytest.mark.full
def test_a_job_on_hdfs_alone(topics: Topics, job: Callable[..., Job], hdfs: Hdfs) -> None:
    """A launch beside a running one leaves with 75; after SIGKILL of that one the next takes over and lands the rest.

    Each record is there once, and only as many states stay as were asked for.
    """
    topic = topics.create()
    topics.fill(topic, BATCH, BATCH)
    places = f"webhdfs://{hdfs.webhdfs}/hdfs-only/{topic}"
    made = job(
        topic,
        offsets__store=f"{places}/offsets",
        offsets__retain__states="3",
        sink__path=f"{places}/lake",
        source__maxOffsetsPerTrigger=str(BATCH),
    )
    made.gate(closed_from=BATCH // 2)
    first = made.start("--available-now")
    made.wait_in_flight()
    beside = made.run()
    assert beside.status == 75, beside.said
    assert f"pid {first.process.pid} on " in beside.complaints[0]
    first.end()
    made.open_gate()
    after = made.run()
    assert after.status == 0, after.said
    assert made.landed() == once(topic, {0: (0, BATCH), 1: (0, BATCH)})
    assert made.register().pending is None
    states = [name for name in hdfs.client().list(f"/hdfs-only/{topic}/offsets/state") if name[0] != "."]
    assert len(states) == 3
    with closing(open_store(f"{places}/offsets")) as store:
        assert store.holder() is None
