"""Kafka 4.1 in KRaft mode: three nodes, each broker and controller, so that any one may be killed.

For leader changes and truncation; a test that needs no second replica uses `Kafka`, which starts sooner.
"""

from __future__ import annotations

import base64
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from confluent_kafka.admin import AdminClient

from servers.daemon import Daemon
from servers.ports import LOOPBACK
from servers.server import Server

NODES = (1, 2, 3)
SETTINGS = """process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{broker}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
auto.leader.rebalance.enable=false
min.insync.replicas=1
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.hours=-1
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=2000
replica.lag.time.max.ms=2000
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
"""


class KafkaCluster(Server):
    """``bootstrap`` for clients; ``brokers[node]`` are the processes.  Not of the sandbox: who makes it ends it."""

    name = "kafka"
    port_names = tuple(f"{kind}{node}" for node in NODES for kind in ("broker", "controller"))

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.brokers = {
            node: Daemon(f"broker{node}", self.folder, partial(self._command, node), partial(self.sees_itself, node))
            for node in NODES
        }
        return tuple(self.brokers.values())

    @property
    def bootstrap(self) -> str:
        """``host:port`` of each node."""
        return ",".join(f"{LOOPBACK}:{self.ports[f'broker{node}']}" for node in NODES)

    def prepare(self) -> None:
        for node in NODES:
            self._settings(node).write_text(
                SETTINGS.format(
                    node=node,
                    host=LOOPBACK,
                    data=self.folder / f"data{node}",
                    broker=self.ports[f"broker{node}"],
                    controller=self.ports[f"controller{node}"],
                    voters=",".join(f"{n}@{LOOPBACK}:{self.ports[f'controller{n}']}" for n in NODES),
                )
            )
        if not (formatted := self.folder / "formatted").exists():
            identity = base64.urlsafe_b64encode(b"k" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda node: self._format(node, identity), NODES))
            formatted.write_text(identity)

    def _format(self, node: int, identity: str) -> None:
        options = ["format", "-t", identity, "-c", str(self._settings(node)), "--ignore-formatted"]
        self.run(self.java("kafka.tools.StorageTool", *options, heap="64m"))

    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap}

    def sees_itself(self, node: int) -> bool:
        """The node answers, and knows itself as a living broker."""
        server = f"{LOOPBACK}:{self.ports[f'broker{node}']}"
        return node in AdminClient({"bootstrap.servers": server, "log_level": 0}).list_topics(timeout=2).brokers

    def _settings(self, node: int) -> Path:
        return self.folder / f"server{node}.properties"

    def _command(self, node: int) -> list[str]:
        return self.java("kafka.Kafka", str(self._settings(node)), heap="256m")
