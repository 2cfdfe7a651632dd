"""What an onlooker sees of a register, by plain reading: a znode's data, or the files of a numbered log."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.protocol.states import WatchedEvent
from sqlalchemy import create_engine, inspect, text

from tests.crash.plain.places import Folder

STATE = re.compile(r"state/(\d{20})\.json")


@dataclass(frozen=True)
class Pending:
    """A batch that the register says is decided; `manifest` is its path below the sink, None for a direct sink."""

    until: Mapping[int, int]
    manifest: str | None


@dataclass(frozen=True)
class Register:
    """One value of the register; offsets by partition of the only topic."""

    version: int
    generation: int
    epoch: int
    seq: int
    step: str
    offsets: Mapping[int, int]
    pending: Pending | None
    data: bytes


def parsed(version: int, data: bytes) -> Register:
    """Of the bytes: a line of header, a line of JSON."""
    state = json.loads(data.partition(b"\n")[2])
    pending = state["pending"]
    if pending is not None:
        ref = pending["manifest"]
        pending = Pending(only(pending["until"]), ref and ref["path"])
    topics = {name: topic["offsets"] for name, topic in state["topics"].items()}
    generation, epoch, seq, step = (state[name] for name in ("generation", "epoch", "seq", "step"))
    return Register(version, generation, epoch, seq, step, only(topics), pending, data)


def only(topics: Mapping[str, Any]) -> dict[int, int]:
    """The offsets of the one topic, from runs of [first partition, its offset, the next one's, ...]."""
    (runs,) = topics.values() if topics else ([],)
    return {first + n: offset for first, *offsets in runs for n, offset in enumerate(offsets)}


class History(Protocol):
    def seen(self) -> list[Register]:
        """All values, as far as they could be seen, by version."""

    def close(self) -> None: ...


class LogHistory:
    """A numbered log keeps it all."""

    def __init__(self, store: str) -> None:
        self._folder, self._read = Folder(store), dict[str, bytes]()

    def seen(self) -> list[Register]:
        names = {name: int(m[1]) for name in self._folder.names() if (m := STATE.fullmatch(name))}
        for name in names:
            if name not in self._read:
                self._read[name] = self._folder.read(name)
        assert all(self._read[n] == self._folder.read(n) for n in [*names][-1:]), "a state was changed"
        return [parsed(number, self._read[name]) for name, number in sorted(names.items())]

    def close(self) -> None:
        pass


class ZnodeHistory:
    """What a watch has seen: of writes in quick succession only the last."""

    def __init__(self, client: KazooClient, store: str) -> None:
        self._path = "/" + store.split("/", 3)[3] + "/register"
        self._client, self._known, self._closed = client, dict[int, bytes](), False
        self._guard = threading.Lock()
        self._look()

    def seen(self) -> list[Register]:
        self._look()
        with self._guard:
            return [parsed(version, data) for version, data in sorted(self._known.items())]

    def close(self) -> None:
        self._closed = True

    def _look(self, _: WatchedEvent | None = None) -> None:
        watch = None if self._closed else self._look
        try:
            data, stat = self._client.get(self._path, watch=watch)
        except NoNodeError:
            if watch and self._client.exists(self._path, watch=watch):  # it came to be between the two looks
                self._look()
            return
        with self._guard:
            assert self._known.setdefault(stat.version, data) == data, "a version has two values"


class TableHistory:
    """A database keeps it all, in a table by version."""

    def __init__(self, store: str) -> None:
        url, _, register = store.partition("?register=")
        self._name = register or "default"
        self._engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    def seen(self) -> list[Register]:
        asked = text("SELECT version, state FROM kds_states WHERE name = :name ORDER BY version")
        with self._engine.connect() as connection:
            if not inspect(connection).has_table("kds_states"):
                return []
            return [parsed(version, bytes(data)) for version, data in connection.execute(asked, {"name": self._name})]

    def close(self) -> None:
        self._engine.dispose()


def follow(store: str, client: KazooClient | None) -> History:
    if store.startswith(("sqlite:", "postgresql:")):
        return TableHistory(store)
    return ZnodeHistory(client, store) if client is not None and store.startswith("zookeeper:") else LogHistory(store)
