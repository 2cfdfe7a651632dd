"""The plans of reset_offsets.py are those of Kafka's own tool, on the same topic of a real broker."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from servers.kafka_server import Kafka
from streaming.commands.reset_offsets import main
from streaming.resetting.times import told
from tests.contract.reset_places import Place, new, plan
from tests.integration.jobs import SECONDS, Topics

TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
HALF_HOUR_MS = 30 * 60_000
COMMITTED = {0: 12, 1: 4, 2: 0, 3: 9}


@dataclass
class Filled:
    """A topic, a consumer group and a register that stand at the same offsets of it; `began`: of the first record."""

    topic: str
    place: Place
    began: int


@pytest.fixture(scope="module")
def filled(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Half-hourly records in 0, whose first five are deleted; transactions, one aborted, in 1; nothing in 2."""
    place = Place(tmp_path_factory.mktemp("agreement"), kafka, Topics(kafka))
    topic = place.topics.create(4)
    began = time.time_ns() // 1_000_000 - 10 * 3_600_000 + 60_000
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for n in range(20):
        producer.produce(topic, b"x", partition=0, timestamp=began + n * HALF_HOUR_MS)
        producer.produce(topic, b"x", partition=3, timestamp=began + n // 2 * HALF_HOUR_MS)
    assert producer.flush(60) == 0
    place.topics.truncate(topic, 0, before=5)
    transactions = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    transactions.init_transactions(60)
    for n in range(3):
        transactions.begin_transaction()
        for m in range(4):
            transactions.produce(topic, b"x", partition=1, timestamp=began + (4 * n + m) * HALF_HOUR_MS)
        assert transactions.flush(60) == 0
        transactions.abort_transaction(60) if n == 1 else transactions.commit_transaction(60)
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})) as group:
        group.commit(offsets=[TopicPartition(topic, p, o) for p, o in COMMITTED.items()], asynchronous=False)
    place.commit(**{topic: COMMITTED})
    return Filled(topic, place, began)


def of_kafkas_tool(filled: Filled, *argv: str) -> dict[int, int]:
    """NEW-OFFSET by partition, of a dry run."""
    kafka = filled.place.kafka
    where = ["--bootstrap-server", kafka.bootstrap, "--group", filled.topic, "--reset-offsets", "--dry-run"]
    done = subprocess.run(kafka.java(TOOL, *where, *argv, heap="128m"), capture_output=True, text=True, timeout=SECONDS)
    rows = [line.split() for line in done.stdout.splitlines()]
    found = {int(row[2]): int(row[3]) for row in rows if row[:2] == [filled.topic, filled.topic]}
    assert found, done.stdout + done.stderr
    return found


def full(*argv: str) -> Any:
    return pytest.param(argv, marks=pytest.mark.full)


@pytest.mark.parametrize(
    "argv",
    [
        ("--shift-by", "-8"),
        full("--shift-by", "7"),
        full("--to-earliest"),
        full("--to-latest"),
        full("--to-current"),
        full("--to-offset", "6"),
        full("--to-offset", "17"),
        full("--by-duration", "PT4H45M"),
        full("--by-duration", "P1D"),
        full("--by-duration", "PT1S"),
    ],
    ids=" ".join,
)
def test_a_plan_is_that_of_kafkas_tool(
    filled: Filled, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """For every mode that both have; also what is before a log start or behind an end."""
    ours = new(plan(capsys, *filled.place.by_store, "--topic", filled.topic, *argv))
    assert ours == of_kafkas_tool(filled, "--topic", filled.topic, *argv)


@pytest.mark.parametrize("hours", [pytest.param(h, marks=pytest.mark.full) for h in (-1.0, 3.25, 99.0)] + [4.0])
def test_times_are_those_of_kafkas_tool(filled: Filled, hours: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, between, at and behind the records; without a zone both take it for UTC."""
    time_ = told(filled.began + round(hours * 3_600_000)).removesuffix("Z")
    scope = ("--topic", f"{filled.topic}:0,1,2,3", "--to-datetime", time_)
    assert new(plan(capsys, *filled.place.by_store, *scope)) == of_kafkas_tool(filled, *scope)


@pytest.mark.full
def test_files_are_those_of_kafkas_tool(filled: Filled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What ours exports Kafka's tool reads, and the other way round; both move what is outside into the log."""
    file = tmp_path / "plan.csv"
    where = [*filled.place.by_store, "--topic", filled.topic]
    ours = new(plan(capsys, *where, "--shift-by", "-8", "--export", str(file)))
    assert of_kafkas_tool(filled, "--from-file", str(file)) == ours
    file.write_text(f"{filled.topic},0,1\n{filled.topic},1,99\n")
    from_file = ("--from-file", str(file))
    assert new(plan(capsys, *filled.place.by_store, *from_file)) == of_kafkas_tool(filled, *from_file)
    kafka = filled.place.kafka
    scope = [
        "--group",
        filled.topic,
        "--topic",
        filled.topic,
        "--reset-offsets",
        "--to-earliest",
        "--dry-run",
        "--export",
    ]
    command = kafka.java(TOOL, "--bootstrap-server", kafka.bootstrap, *scope, heap="128m")
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    file.write_text("".join(line + "\n" for line in done.stdout.splitlines() if line.startswith(filled.topic)))
    assert new(plan(capsys, *filled.place.by_store, *from_file)) == new(plan(capsys, *where, "--to-earliest"))


def test_records_that_are_read_again_or_skipped(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    """Bounds by partition and in all; clamping is said; nothing was written, and nothing is left behind."""
    before = filled.place.files()
    planned = plan(capsys, *filled.place.by_store, "--all-topics", "--to-offset", "8")
    assert [(r["currentOffset"], r["newOffset"], r["readAgain"], r["skipped"]) for r in planned["partitions"]] == [
        (12, 8, 4, 0),
        (4, 8, 0, 4),
        (0, 0, 0, 0),
        (9, 8, 1, 0),
    ]
    assert (planned["readAgain"], planned["skipped"], planned["done"]) == (5, 4, None)
    assert [r["note"] for r in planned["partitions"] if r["note"]] == ["8 is behind the last stable offset 0"]
    assert filled.place.files() == before
    assert main("", [*filled.place.by_store, "--all-topics", "--to-offset", "8"]) == 0
    told_ = capsys.readouterr().out
    assert "read again:    5 records at most, of 2 partitions" in told_
    assert "--all-topics --to-offset 8 --execute" in told_
    assert filled.place.files() == before
