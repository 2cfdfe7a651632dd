"""Servers killed with a batch in flight and back 10 s later: the run waits or exits 69, the next launch finishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from demonstration.counter import count, published

from servers.daemon import Daemon, wait_for
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, produce_transactions

RECORDS = 4_000
AWAY_SECONDS = 10.0

# The transactions job with a gate: nothing of its second batch gets through before the test opens it.
GATED_TRANSACTIONS = """
import time
from pathlib import Path

from streaming.jobs.transactions import parse

FOLDER, FROM = Path({folder!r}), {closed_from}

def pass_on(record):
    while record.offset >= FROM and not (FOLDER / "open").exists():
        (FOLDER / "waiting").touch()
        time.sleep(0.01)
    return parse(record)
"""


@pytest.fixture
def daemons(kafka: Kafka, zookeeper: ZooKeeper, hdfs: Hdfs) -> dict[str, Daemon]:
    """By the names that people give them."""
    return {
        "ZooKeeper": zookeeper.server,
        "NameNode": hdfs.namenode,
        "DataNode": hdfs.datanode,
        "broker": kafka.broker,
    }


@pytest.mark.full  # tests/incidents, the crash suite and the soak have shorter ones
@pytest.mark.parametrize("names", ["ZooKeeper broker", "ZooKeeper", "broker", "NameNode", "DataNode"])
def test_outage(
    names: str,
    daemons: dict[str, Daemon],
    kafka: Kafka,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    job: Callable[..., Job],
) -> None:
    """SIGKILL in mid-batch: 0 or 69 and nothing else, then a launch that lands all, exact by the producer's log."""
    topic = f"outage-{time.time_ns()}"
    made = job(
        topic,
        offsets__store=f"zookeeper://{zookeeper.hosts}/outages/{topic}",
        sink__path=f"webhdfs://{hdfs.webhdfs}/lake/{topic}",
        source__maxOffsetsPerTrigger=str(RECORDS // 4),
        job__function="gated:pass_on",
    )
    log = made.folder / "produced.jsonl"
    produce_transactions(kafka, topic, RECORDS, log)
    (made.folder / "gated.py").write_text(
        GATED_TRANSACTIONS.format(folder=str(made.folder), closed_from=RECORDS // 4 // 4)
    )
    run = made.start("--available-now")
    made.wait_in_flight()
    outage([daemons[name] for name in names.split()], made.open_gate)
    status = run.wait().status
    print(f"{names}: exit {status}, {run.summary['exitReason']}")
    assert status in (0, 69), run.said
    assert "Traceback" not in run.said
    if status == 69:
        assert len(run.complaints) == 1, run.said
        assert "remedy: " in run.complaints[0]
    after = made.run()
    assert after.status == 0, after.said
    total = count(published(made.settings["sink.path"]), log)
    assert (total.produced, total.exact) == (RECORDS, True), total
    assert made.register().pending is None


def outage(daemons: Sequence[Daemon], meanwhile: Callable[[], None]) -> None:
    """Kills them, does something while they are away, and has them back after AWAY_SECONDS."""
    for daemon in daemons:
        daemon.kill()
    gone = time.monotonic()
    meanwhile()
    threading.Event().wait(AWAY_SECONDS - (time.monotonic() - gone))  # the outage itself, not a wait for anything
    for daemon in daemons:
        daemon.start()
    for daemon in daemons:
        daemon.wait_ready()
        wait_for(lambda daemon=daemon: daemon.alive, 10, "the server to stay")  # type: ignore[misc]
