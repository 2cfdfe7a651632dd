"""Kafka 4.1 in KRaft mode: one process, broker and controller.

Beside the plain listener there is one that is advertised under a port of its own, for a proxy that a test puts there:
a client that comes through the proxy is sent on through the proxy.
"""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

from confluent_kafka.admin import AdminClient

from servers.daemon import Daemon
from servers.ports import LOOPBACK, connects
from servers.server import Server

SETTINGS = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{broker},PROXIED://{host}:{behind_proxy},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{broker},PROXIED://{host}:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.hours=-1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""


class Kafka(Server):
    """``bootstrap`` for clients; ``proxied_bootstrap`` for those that come through a proxy to ``proxy_target``."""

    name = "kafka"
    port_names = ("broker", "controller", "behind_proxy", "proxy")

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.broker = Daemon("broker", self.folder, self._command, self._answers)
        return (self.broker,)

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the broker."""
        return f"{LOOPBACK}:{self.ports['broker']}"

    @property
    def proxy_target(self) -> str:
        """Where a proxy must send what it receives on ``proxied_bootstrap``."""
        return f"{LOOPBACK}:{self.ports['behind_proxy']}"

    @property
    def proxied_bootstrap(self) -> str:
        """The ``host:port`` that the broker names to whoever comes by the proxy: the proxy must listen there."""
        return f"{LOOPBACK}:{self.ports['proxy']}"

    def prepare(self) -> None:
        data = self.folder / "data"
        self._settings.write_text(SETTINGS.format(host=LOOPBACK, data=data, **self.ports))
        if not (formatted := self.folder / "formatted").exists():
            identity = base64.urlsafe_b64encode(b"k" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
            tool = self.java(
                "kafka.tools.StorageTool", "format", "-t", identity, "-c", str(self._settings), heap="128m"
            )
            self.run([*tool, "--ignore-formatted"])
            formatted.write_text(identity)

    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap}

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    def _command(self) -> list[str]:
        return self.java("kafka.Kafka", str(self._settings), heap="768m")

    def _answers(self) -> bool:
        """Real metadata: a broker is there and every partition has a leader."""
        if not connects(self.ports["broker"]):
            return False
        metadata = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=2)
        leaders = (p.leader for topic in metadata.topics.values() for p in topic.partitions.values())
        return bool(metadata.brokers) and all(leader >= 0 for leader in leaders)
