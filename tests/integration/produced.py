"""Producers run as users run them, and what is then in the topic: for comparing the two."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from servers.kafka_server import Kafka

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
Place = tuple[int, int]


def start(script: str, bootstrap: str, *options: str) -> subprocess.Popen[str]:
    """`scripts/SCRIPT.py --bootstrap-server ... OPTIONS`, not waited for."""
    command = [sys.executable, str(SCRIPTS / f"{script}.py"), "--bootstrap-server", bootstrap, *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], stdin: str = "") -> tuple[int, dict[str, Any], str]:
    """Exit status, summary and stderr."""
    try:
        out, err = process.communicate(stdin, timeout=120)
    finally:
        process.kill()
    return process.returncode, json.loads(out) if out else {}, err


def messages(kafka: Kafka, topic: str, isolation: str = "read_committed") -> dict[Place, Message]:
    """All that the topic has, by partition and offset."""
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "content", "enable.partition.eof": "true"}
    found: dict[Place, Message] = {}
    with closing(Consumer({**config, "isolation.level": isolation})) as consumer:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        open_partitions = set(partitions)
        while open_partitions:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                open_partitions.discard(message.partition())  # type: ignore[arg-type]
            else:
                found[message.partition(), message.offset()] = message  # type: ignore[index]
    return found


def content(kafka: Kafka, topic: str) -> dict[Place, bytes | None]:
    """The values of it."""
    return {place: message.value() for place, message in messages(kafka, topic).items()}


def logged(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def places(entries: list[dict[str, Any]], outcome: str = "acknowledged") -> dict[Place, dict[str, Any]]:
    """The log's entries of one outcome; no two at one place."""
    chosen = [e for e in entries if e["outcome"] == outcome]
    found = {(e["partition"], e["offset"]): e for e in chosen}
    assert len(found) == len(chosen), "two records at one place"
    return found


def wait_for_log(log: Path) -> None:
    """Until the first records are acknowledged."""
    end = time.monotonic() + 60
    while not log.exists() or log.stat().st_size == 0:
        assert time.monotonic() < end, "nothing was ever acknowledged"
        time.sleep(0.05)
