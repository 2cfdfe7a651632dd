"""ZooKeeper 3.9, a single node."""

from __future__ import annotations

import logging
from pathlib import Path

from kazoo.client import KazooClient

from servers.daemon import Daemon
from servers.ports import LOOPBACK, connects
from servers.server import Server

SETTINGS = """dataDir={data}
clientPort={client}
clientPortAddress={host}
tickTime=500
minSessionTimeout=2000
maxSessionTimeout=40000
admin.enableServer=false
4lw.commands.whitelist=*
"""

QUIET = logging.getLogger("servers.zookeeper")
QUIET.setLevel(logging.CRITICAL + 1)  # a refused session is expected while the server starts


class ZooKeeper(Server):
    """``hosts`` for clients; sessions of 2 to 40 s, expired to within half a second."""

    name = "zookeeper"
    port_names = ("client",)

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.server = Daemon("server", self.folder, self._command, lambda: serves(self.ports["client"]))
        return (self.server,)

    @property
    def hosts(self) -> str:
        """``host:port`` as kazoo takes it."""
        return f"{LOOPBACK}:{self.ports['client']}"

    def prepare(self) -> None:
        self._settings.write_text(SETTINGS.format(host=LOOPBACK, data=self.folder / "data", **self.ports))

    def environment(self) -> dict[str, str]:
        return {"ZOOKEEPER": self.hosts}

    @property
    def _settings(self) -> Path:
        return self.folder / "zoo.cfg"

    def _command(self) -> list[str]:
        options = ["-Dorg.slf4j.simpleLogger.showDateTime=true"]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return self.java(main, str(self._settings), heap="128m", options=options)


def serves(port: int) -> bool:
    """A session was made there and a node read."""
    if not connects(port):
        return False
    client = KazooClient(f"{LOOPBACK}:{port}", timeout=4, logger=QUIET)
    try:
        client.start(timeout=2)
        return "zookeeper" in client.get_children("/")
    finally:
        client.stop()
        client.close()
