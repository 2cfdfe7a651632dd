"""The transactions producer against a real broker: its log tells the truth about every record."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from producers.transactions import fixed_lines, random_lines
from servers.kafka_server import Kafka
from tests.integration import produced
from tests.integration.produced import Place, content, finish, logged, places, wait_for_log


def start(kafka: Kafka, *options: str) -> subprocess.Popen[str]:
    return produced.start("produce_transactions", kafka.bootstrap, *options)


def acknowledged(entries: list[dict[str, Any]]) -> dict[Place, bytes]:
    """The log's claim of what the topic has."""
    return {place: entry["line"].encode("latin-1") for place, entry in places(entries).items()}


@pytest.fixture
def topic() -> str:
    return f"producer-{uuid.uuid4().hex[:8]}"


def test_log_equals_topic(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """Every record of the topic is in the log with its place, its bytes and whether it is malformed, and no other."""
    log = tmp_path / "log"
    status, summary, err = finish(
        start(
            kafka, "--topic", topic, "--partitions", "4", "--records", "20000", "--malformed", "0.1", "--log", str(log)
        )
    )
    assert (status, err) == (0, "")
    entries = logged(log)
    assert acknowledged(entries) == content(kafka, topic)
    assert [(e["line"].encode("latin-1"), e["malformed"]) for e in entries] == list(random_lines(20_000, 1, 0.1))
    assert {e["partition"] for e in entries} == {0, 1, 2, 3}
    assert summary["acknowledged"] == summary["records"] == 20_000
    assert summary["malformed"] == sum(e["malformed"] for e in entries)


def test_fixed_set(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """The fixed set puts the same 100 lines into the topic."""
    status, _, _ = finish(
        start(kafka, "--topic", topic, "--partitions", "1", "--fixed", "--log", str(tmp_path / "log"))
    )
    assert status == 0
    assert sorted(content(kafka, topic).values()) == sorted(line.value for line in fixed_lines())


@pytest.mark.full
def test_broker_killed_and_back(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """A broker that is killed in mid-run and comes back costs no record: none is missing, none is there twice."""
    log = tmp_path / "log"
    options = ["--topic", topic, "--partitions", "2", "--records", "60000", "--rate", "15000", "--log", str(log)]
    producer = start(kafka, *options, "--timeout", "60")
    wait_for_log(log)
    kafka.broker.kill()
    restart = threading.Thread(target=kafka.broker.restart)
    restart.start()
    status, summary, err = finish(producer)
    restart.join()
    entries, found = logged(log), content(kafka, topic)
    assert len(entries) == summary["records"]
    claims = acknowledged(entries)
    assert claims.items() <= found.items(), "acknowledged, but not in the topic"
    unclaimed = sorted(found[place] for place in found.keys() - claims.keys())
    unknown = sorted(e["line"].encode("latin-1") for e in entries if e["outcome"] == "unknown")
    assert set(unclaimed) <= set(unknown), "in the topic, but not in the log as acknowledged or unknown"
    assert len(set(found.values())) == len(found), "a record is there twice"
    assert (status, summary["acknowledged"]) == (0, 60_000), (summary, err)


@pytest.mark.full
def test_broker_gone(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """A broker that stays away ends the run with 69: what was on its way is unknown, what was acknowledged is there."""
    log = tmp_path / "log"
    options = ["--topic", topic, "--partitions", "2", "--records", "500000", "--rate", "10000", "--log", str(log)]
    producer = start(kafka, *options, "--timeout", "3")
    wait_for_log(log)
    kafka.broker.kill()
    began = time.monotonic()
    status, summary, err = finish(producer)
    assert time.monotonic() - began < 30
    kafka.broker.restart()
    entries, found = logged(log), content(kafka, topic)
    assert (status, len(err.splitlines())) == (69, 1)
    assert {e["outcome"] for e in entries} == {"acknowledged", "unknown"}
    assert summary["records"] == len(entries) == summary["acknowledged"] + summary["unknown"]
    claims = acknowledged(entries)
    assert claims.items() <= found.items()
    unknown = {e["line"].encode("latin-1") for e in entries if e["outcome"] == "unknown"}
    assert {found[place] for place in found.keys() - claims.keys()} <= unknown


def test_interrupted(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """Ctrl-C flushes, accounts for all that was sent, and exits 130."""
    log = tmp_path / "log"
    options = ["--topic", topic, "--partitions", "1", "--records", "500000", "--rate", "5000", "--log", str(log)]
    producer = start(kafka, *options)
    wait_for_log(log)
    os.kill(producer.pid, signal.SIGINT)
    status, summary, _ = finish(producer)
    assert status == 130
    assert acknowledged(logged(log)) == content(kafka, topic)
    assert 0 < summary["records"] < 500_000


@pytest.mark.full
def test_wrong_broker(tmp_path: Path) -> None:
    """A broker that is not there: one line that names it within 15 s, 69, and no log."""
    began = time.monotonic()
    status, summary, err = finish(produced.start("produce_transactions", "127.0.0.1:1", "--log", str(tmp_path / "log")))
    assert time.monotonic() - began < 30
    assert (status, summary, len(err.splitlines())) == (69, {}, 1)
    assert "127.0.0.1:1" in err
    assert not (tmp_path / "log").exists()


def test_missing_topic(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """A topic that does not exist is an error that says how to make it, and is not made."""
    status, summary, err = finish(start(kafka, "--topic", topic, "--log", str(tmp_path / "log")))
    assert (status, summary, len(err.splitlines())) == (2, {}, 1)
    assert topic in err
    assert "--partitions" in err
