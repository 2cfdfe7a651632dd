"""Registers that tests move by reset_offsets.py, and what that script says of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from offsets.codec import decode_state
from offsets.manager import OffsetManager, current_owner
from offsets.stores import open_store
from offsets.structs import State, TopicState
from servers.kafka_server import Kafka
from streaming.commands.reset_offsets import main
from streaming.source.broker import Broker
from tests.integration.jobs import SECONDS, Topics

JOB = """
[job]
name = {name}
[source]
subscribe = {topics}
startingOffsets = earliest
[kafka]
bootstrap.servers = {bootstrap}
[offsets]
store = file://{folder}/store
[sink]
path = file://{folder}/lake
"""


@dataclass
class Place:
    """A register, in a folder of its own unless `url` says where; `topics` are made as they are needed."""

    folder: Path
    kafka: Kafka
    topics: Topics
    url: str = ""

    @property
    def store(self) -> str:
        return self.url or f"file://{self.folder}/store"

    def commit(self, **offsets: Mapping[int, int]) -> None:
        """Writes the register, at what Kafka has of the topics now."""
        with closing(Broker({"bootstrap.servers": self.kafka.bootstrap}, SECONDS)) as broker:
            seen = broker.snapshot(list(offsets))
        topics = {name: TopicState(seen[name].id, of, seen[name].epochs) for name, of in offsets.items()}
        with closing(open_store(self.store)) as store:
            manager = OffsetManager(store, current_owner("test"))
            manager.read()
            manager.create(uuid.uuid4().hex, topics)
            manager.take()

    @property
    def state(self) -> State:
        with closing(open_store(self.store)) as store:
            found = store.load()
        assert found
        return decode_state(found.state)

    @property
    def by_store(self) -> list[str]:
        return ["--store", self.store, "--bootstrap-server", self.kafka.bootstrap]

    def job(self, *topics: str) -> str:
        path = self.folder / "job.cfg"
        names = {"name": self.folder.name, "topics": ",".join(topics), "folder": self.folder}
        path.write_text(JOB.format(**names, bootstrap=self.kafka.bootstrap))
        return str(path)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


def plan(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    """What the script says in JSON; it must succeed."""
    status = main("", [*argv, "--format", "json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def new(planned: Mapping[str, Any]) -> dict[int, int]:
    return {row["partition"]: row["newOffset"] for row in planned["partitions"]}


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    status = main("", argv)
    return status, capsys.readouterr().err
