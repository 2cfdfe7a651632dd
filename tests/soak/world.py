"""Where a soak happens: real servers of its own, proxies before those that are cut off, two topics, one job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from demonstration.job import write_job

from servers.cluster import Sandbox
from servers.proxy import Mode, Proxy

PLAIN, COMPACTED = "orders", "accounts"
PARTITIONS = {PLAIN: 4, COMPACTED: 2}
COMPACTION = {
    "cleanup.policy": "compact",
    "segment.ms": "5000",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "5000",
    "delete.retention.ms": "1000",
}
BATCH = 2_000  # records: about a second of the job's function, so that faults find it at work
READY_SECONDS = 300.0  # a server starts beside all else that runs: on a slow machine that takes its time
PLACES = LAKE, TAKEN = "lake", "taken"  # to where a consumer moves files from the lake
STORES, SINKS = ("zookeeper", "hdfs", "file"), ("hdfs", "local")


class World:
    """`store`: one of STORES, `sink`: one of SINKS.  The job goes through the proxies, everything else past them."""

    def __init__(self, folder: Path, store: str, sink: str) -> None:
        self.folder, self.store, self.sink = folder, store, sink
        self.sandbox = Sandbox(folder / "servers")
        self.names = ["kafka", *(name for name in ("zookeeper", "hdfs") if name in (store, sink))]
        self.proxies: dict[str, Proxy] = {}

    def up(self) -> None:
        """Servers, proxies, topics and the job file; the servers end with this process, however that ends."""
        self.sandbox.end_with_me()
        for server in self.sandbox.servers(self.names):
            for daemon in server.daemons:
                daemon.deadline = READY_SECONDS
        self.sandbox.up(self.names)
        for name in self.names[1:]:
            self.proxies[name] = Proxy(self.address(name))
        self._admin = AdminClient({"bootstrap.servers": self.sandbox.kafka.bootstrap, "log_level": 0})
        configs: dict[str, dict[str, str]] = {PLAIN: {}, COMPACTED: COMPACTION}
        for topic, partitions in PARTITIONS.items():
            new = NewTopic(topic, partitions, 1, config=configs[topic])
            self._admin.create_topics([new], operation_timeout=30)[topic].result(60)
        self._make_folders()
        shutil.copy(Path(__file__).with_name("soaked.py"), self.folder)
        self.job = write_job(
            self.folder / "soak.cfg",
            topic=f"{PLAIN},{COMPACTED}",
            bootstrap=self.sandbox.kafka.bootstrap,
            store=self.store_url(proxied=True),
            sink=self.sink_url(proxied=True),
            batch=BATCH,
            master="local[2,4]",
            more={"spark.ui.enabled": "false", "spark.local.dir": str(self.folder / "scratch")},
        )

    def _make_folders(self) -> None:
        """Of the lake, and of what is taken from it."""
        for place in PLACES:
            if self.sink == "local":
                (self.folder / place).mkdir()
            else:
                self.sandbox.hdfs.client().makedirs(f"/{place}")

    def address(self, name: str) -> str:
        """`host:port` of ZooKeeper, or of the NameNode's WebHDFS."""
        return self.sandbox.zookeeper.hosts if name == "zookeeper" else self.sandbox.hdfs.webhdfs

    def store_url(self, proxied: bool = False) -> str:
        if self.store == "file":
            return f"file://{self.folder / 'offsets'}"
        address = self.proxies[self.store].address if proxied else self.address(self.store)
        return f"{'webhdfs' if self.store == 'hdfs' else self.store}://{address}/soak"

    def sink_url(self, proxied: bool = False, place: str = LAKE) -> str:
        """`place`: one of PLACES."""
        if self.sink == "local":
            return f"file://{self.folder / place}"
        return f"webhdfs://{self.proxies['hdfs'].address if proxied else self.address('hdfs')}/{place}"

    def limit_space(self, on: bool) -> None:
        """A space quota on the lake that is used up, or none."""
        quota = {"storagespacequota": 1 if on else -1}  # one byte is less than any file takes
        params: dict[str, Any] = {"op": "SETQUOTA", "user.name": self.sandbox.hdfs.user, **quota}
        url = f"{self.sandbox.hdfs.webhdfs_url}/webhdfs/v1/{LAKE}"
        requests.put(url, params=params, timeout=READY_SECONDS).raise_for_status()

    def delete_records(self, before: dict[int, int]) -> None:
        """Partitions of the plain topic begin there from now on."""
        places = [TopicPartition(PLAIN, partition, offset) for partition, offset in before.items()]
        for future in self._admin.delete_records(places).values():
            future.result(30)

    def add_partition(self, partitions: int) -> None:
        """The plain topic has so many from now on."""
        self._admin.create_partitions([NewPartitions(PLAIN, partitions)])[PLAIN].result(30)

    def heal(self) -> None:
        """Nothing is cut off, stopped or down any more."""
        for proxy in self.proxies.values():
            proxy.switch(Mode.PASS)
        self.sandbox.up(self.names)

    def down(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()
        self.sandbox.down(graceful=False)


@contextmanager
def world_of(folder: Path, store: str, sink: str) -> Iterator[World]:
    """Up in the block, down after it."""
    world = World(folder, store, sink)
    try:
        world.up()
        yield world
    finally:
        world.down()
