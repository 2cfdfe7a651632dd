"""show_offsets.py on the real broker: what it shows of logs and of the next records."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from servers.daemon import wait_for
from servers.kafka_server import Kafka
from streaming.commands.show_offsets import main
from tests.contract.wide_topic import register_of
from tests.guards.logs import ABORTED, COMMITTED, OPEN, created, last_stable, producer, transaction, transactional


def test_a_lagging_topic(kafka: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Starts, ends and last stable offsets are Kafka's own; the age of the next committed record is its timestamp's."""
    topic, hour_ago = created(kafka, 6), int(time.time() * 1000) - 3_600_000
    register_of(kafka, topic, f"file://{tmp_path}/offsets")
    writer = producer(kafka)
    for partition, count in enumerate((3, 3)):
        for _ in range(count):
            writer.produce(topic, b"old", partition=partition, timestamp=hour_ago)
    writer.produce(topic, b"new", partition=2)
    assert writer.flush(30) == 0
    open_ = transactional(kafka)
    transaction(transactional(kafka), topic, 3, 2, ABORTED)
    transaction(open_, topic, 4, 2, OPEN)
    transaction(transactional(kafka), topic, 4, 2, COMMITTED)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.delete_records([Place(topic, 1, 2)]).values():
        future.result(30)
    wait_for(lambda: last_stable(kafka, topic, 3) == 3, 30, "the transaction to end")
    status = main(
        "", ["--store", f"file://{tmp_path}/offsets", "--bootstrap-server", kafka.bootstrap, "--format", "json"]
    )
    said = json.loads(capsys.readouterr().out)
    rows = said["partitions"]
    assert status == 0
    offsets = [(r["logStartOffset"], r["logEndOffset"], r["lag"], r["lastStableOffset"]) for r in rows]
    assert offsets == [(0, 3, 3, 3), (2, 3, 3, 3), (0, 1, 1, 1), (0, 3, 3, 3), (0, 5, 5, 0), (0, 0, 0, 0)]
    ages = [row["timeLag"] for row in rows]
    assert 3600 <= ages[0] < 7200
    assert 0 <= ages[2] < 3600
    assert [ages[p] for p in (1, 3, 4, 5)] == [None] * 4, "expired, aborted, not yet committed, nothing"
    assert [row["timeLeft"] for row in rows] == [None, 0, None, None, None, None]
    open_.abort_transaction(30)
