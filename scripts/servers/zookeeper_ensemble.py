"""ZooKeeper 3.9, an ensemble of three.  Not part of the sandbox: tests start it.

Each member reaches the others through proxies of its own, so that any of them can be cut off from the rest while its
clients still reach it.
"""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

from servers.daemon import Daemon, wait_for
from servers.ports import LOOPBACK
from servers.proxy import Mode, Proxy
from servers.server import Server
from servers.zookeeper_server import SETTINGS, serves

MEMBERS = (1, 2, 3)
SECONDS = 120.0  # for three JVMs at once on a busy machine
# A follower that hears nothing of its leader still answers reads for syncLimit ticks.
QUORUM = """initLimit=60
syncLimit={sync_limit}
"""
SYNC_LIMIT = 40  # ticks of 500 ms


class ZooKeeperEnsemble(Server):
    """``hosts`` for clients, ``host(n)`` for those of one member; ``members[n]`` are the daemons, n from 1 to 3."""

    name = "zookeeper"
    port_names = tuple(f"{what}{n}" for n in MEMBERS for what in ("client", "quorum", "election"))

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._links: dict[int, list[Proxy]] = {n: [] for n in MEMBERS}
        self._addresses = {n: self._peers(n) for n in MEMBERS}

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.members = {
            n: Daemon(f"member{n}", self.folder, partial(self._command, n), partial(self._answers, n), SECONDS)
            for n in MEMBERS
        }
        return tuple(self.members.values())

    @property
    def hosts(self) -> str:
        return ",".join(map(self.host, MEMBERS))

    def host(self, member: int) -> str:
        return f"{LOOPBACK}:{self.ports[f'client{member}']}"

    def leader(self) -> int:
        """The member that leads now; waits for one."""
        found: list[int] = []

        def led() -> bool:
            found[:] = filter(self._leads, MEMBERS)
            return bool(found)

        wait_for(led, SECONDS, "a leader")
        return found[0]

    def followers(self) -> list[int]:
        leader = self.leader()
        return [n for n in MEMBERS if n != leader]

    def isolate(self, member: int) -> None:
        """What it and the other members say to each other is held back; its clients still reach it."""
        for proxy in self._links[member]:
            proxy.switch(Mode.BLACKHOLE)

    def heal(self) -> None:
        """What was held back arrives."""
        for proxy in (p for links in self._links.values() for p in links):
            proxy.switch(Mode.PASS)

    def lose_quorum(self) -> None:
        """Kills two members.  Returns once the third has noticed: what it took until then it may yet carry out."""
        alone, *others = MEMBERS
        for n in others:
            self.members[n].kill()
        wait_for(lambda: not self._answered(alone), SECONDS, "the last member to stop serving")

    def prepare(self) -> None:
        for n in MEMBERS:
            data = self.folder / f"data{n}"
            data.mkdir(exist_ok=True)
            (data / "myid").write_text(f"{n}\n")
            settings = SETTINGS.format(host=LOOPBACK, data=data, client=self.ports[f"client{n}"])
            servers = "".join(f"server.{m}={address}\n" for m, address in self._addresses[n].items())
            self._settings(n).write_text(settings + QUORUM.format(sync_limit=SYNC_LIMIT) + servers)

    def environment(self) -> dict[str, str]:
        return {"ZOOKEEPER": self.hosts}

    def down(self, graceful: bool = True) -> None:
        super().down(graceful)
        for proxy in (p for links in self._links.values() for p in links):
            proxy.close()

    def _peers(self, member: int) -> dict[int, str]:
        """host:port:port of every member, as this one is told it; the way to and from any other is a proxy."""
        told = {}
        for n in MEMBERS:
            ports = [self.ports[f"{what}{n}"] for what in ("quorum", "election")]
            if n != member:
                links = [Proxy(f"{LOOPBACK}:{port}") for port in ports]
                self._links[member] += links
                self._links[n] += links
                ports = [link.port for link in links]
            told[n] = f"{LOOPBACK}:{ports[0]}:{ports[1]}"
        return told

    def _settings(self, member: int) -> Path:
        return self.folder / f"zoo{member}.cfg"

    def _command(self, member: int) -> list[str]:
        options = ["-Dorg.slf4j.simpleLogger.showDateTime=true"]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return self.java(main, str(self._settings(member)), heap="96m", options=options)

    def _answers(self, member: int) -> bool:
        return serves(self.ports[f"client{member}"])

    def _answered(self, member: int) -> bool:
        try:
            return self._answers(member)
        except Exception:  # of kazoo's, whatever it is: no answer
            return False

    def _leads(self, member: int) -> bool:
        if not self.members[member].alive or self.members[member].stopped:
            return False
        try:
            with socket.create_connection((LOOPBACK, self.ports[f"client{member}"]), timeout=5) as asked:
                asked.sendall(b"srvr")
                return b"Mode: leader" in asked.makefile("rb").read()
        except OSError:  # it may be anywhere between two elections
            return False
