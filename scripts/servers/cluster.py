"""The sandbox: any of the servers under one data folder, brought up, found again, and ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from servers.daemon import end_marked, marked, wait_for
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.paths import locked
from servers.postgres_server import Postgres
from servers.server import Server
from servers.watcher import end_with_me
from servers.zookeeper_server import ZooKeeper

KINDS: dict[str, type[Server]] = {kind.name: kind for kind in (Kafka, ZooKeeper, Hdfs, Postgres)}
NAMES = tuple(KINDS)
USUAL = tuple(name for name in NAMES if name != Postgres.name)  # PostgreSQL only for those who ask for it


class Sandbox:
    """The servers of one data folder.  Another process that opens the same folder finds the same servers."""

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self._watcher: subprocess.Popen[bytes] | None = None

    @cached_property
    def kafka(self) -> Kafka:
        return Kafka(self.data / Kafka.name)

    @cached_property
    def zookeeper(self) -> ZooKeeper:
        return ZooKeeper(self.data / ZooKeeper.name)

    @cached_property
    def hdfs(self) -> Hdfs:
        return Hdfs(self.data / Hdfs.name)

    @cached_property
    def postgres(self) -> Postgres:
        return Postgres(self.data / Postgres.name)

    def servers(self, names: Iterable[str] = NAMES) -> list[Server]:
        """The named servers, running or not."""
        return [getattr(self, name) for name in names]

    def known(self) -> Iterator[Server]:
        """Those that were brought up at some time in this data folder."""
        yield from self.servers(name for name in NAMES if (self.data / name).is_dir())

    def up(self, names: Sequence[str] = USUAL) -> None:
        """Brings up the named servers at the same time, reusing what runs; returns when each has answered."""
        for name in names:
            KINDS[name].fetch()
        with locked(self.data / "lock"), ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.up(), self.servers(names)))

    def down(self, graceful: bool = True) -> None:
        """Ends every process of this data folder; data and logs stay."""
        with locked(self.data / "lock"):
            for server in self.known():
                server.down(graceful)
            end_marked(self.data)
            wait_for(lambda: not marked(self.data), 10, f"the processes of {self.data} to end")
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.wait()
            self._watcher = None

    def status(self) -> list[tuple[str, str, str, str]]:
        """One row a daemon: server, daemon, "running pid N" or "stopped pid N" or "down", its log."""
        return [
            (server.name, daemon.name, _state(daemon.pid, daemon.stopped), str(daemon.log))
            for server in self.known()
            for daemon in server.daemons
        ]

    def env(self) -> dict[str, str]:
        """The environment variables that lead clients to the servers that run."""
        return {key: value for s in self.known() if s.alive for key, value in s.environment().items()}

    def end_with_me(self) -> None:
        """From now on the servers are killed when this process ends, however it ends (a watcher process sees to it)."""
        self._watcher = end_with_me(self.data)


def _state(pid: int | None, stopped: bool) -> str:
    return "down" if pid is None else f"{'stopped' if stopped else 'running'} pid {pid}"
