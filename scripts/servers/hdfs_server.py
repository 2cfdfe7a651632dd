"""HDFS 3.4: a NameNode and a DataNode as separate processes, WebHDFS, permissions enforced.

The superuser is who runs this; ``/tmp`` is open to all; anywhere else another user has no rights until given some.
"""

from __future__ import annotations

import os
import pwd
import uuid
from pathlib import Path
from xml.sax.saxutils import escape

from hdfs import InsecureClient

from servers.daemon import Daemon
from servers.ports import LOOPBACK, connects
from servers.server import Server

LOGGING = """log4j.rootLogger=INFO,c
log4j.appender.c=org.apache.log4j.ConsoleAppender
log4j.appender.c.layout=org.apache.log4j.PatternLayout
log4j.appender.c.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""
NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATANODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
DFSADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"
FIXED = {
    "dfs.replication": "1",
    "dfs.permissions.enabled": "true",
    "dfs.ls.limit": "100",  # entries of one answer: lists have pages in tests too (1,000 by default)
    "hadoop.http.staticuser.user": "nobody",
    # A restarted NameNode leaves safe mode as soon as its DataNode is back (30 s by default).
    "dfs.namenode.safemode.extension": "0",
    "dfs.namenode.safemode.min.datanodes": "1",
    # A killed DataNode is seen dead after 2 x recheck + 10 x heartbeat = 12 s.
    "dfs.heartbeat.interval": "1",
    "dfs.namenode.heartbeat.recheck-interval": "1000",
    "dfs.blockreport.initialDelay": "0",
    "dfs.datanode.directoryscan.interval": "-1",
    "dfs.datanode.hostname": LOOPBACK,
    "dfs.client.use.datanode.hostname": "true",
    "dfs.namenode.datanode.registration.ip-hostname-check": "false",
    "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
    # For WebHDFS the DataNode is the client; 400 ms by default, paid by half of all small writes.
    "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
    "dfs.client.block.write.locateFollowingBlock.retries": "15",
    "ipc.client.connect.max.retries": "30",
    "ipc.client.connect.retry.interval": "200",
}


class Hdfs(Server):
    """``webhdfs`` ("host:port"), ``webhdfs_url`` and ``url`` for clients; ``user`` is the superuser's name."""

    name = "hdfs"
    port_names = ("rpc", "http", "data", "data_http", "data_ipc")

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.namenode = Daemon("namenode", self.folder, lambda: self._command(NAMENODE), self._namenode_answers)
        self.datanode = Daemon("datanode", self.folder, lambda: self._command(DATANODE), self._datanode_answers)
        return self.namenode, self.datanode

    @property
    def webhdfs(self) -> str:
        """``host:port`` of WebHDFS at the NameNode."""
        return f"{LOOPBACK}:{self.ports['http']}"

    @property
    def webhdfs_url(self) -> str:
        """The same as HdfsCLI takes it."""
        return f"http://{self.webhdfs}"

    @property
    def url(self) -> str:
        """What Hadoop's own clients take as ``fs.defaultFS``."""
        return f"hdfs://{LOOPBACK}:{self.ports['rpc']}"

    @property
    def user(self) -> str:
        """The superuser: who runs the daemons."""
        return pwd.getpwuid(os.getuid()).pw_name

    def client(self, user: str = "", timeout: float = 10) -> InsecureClient:
        """A WebHDFS client as this user, by default as the superuser."""
        return InsecureClient(self.webhdfs_url, user=user or self.user, timeout=timeout)

    def prepare(self) -> None:
        for webapp in ("hdfs", "datanode", "static"):
            (self._conf / "webapps" / webapp).mkdir(parents=True, exist_ok=True)
        for file in ("core-site.xml", "hdfs-site.xml"):
            (self._conf / file).write_text(_xml({**FIXED, **self._places()}))
        (self._conf / "log4j.properties").write_text(LOGGING)
        if not (formatted := self.folder / "formatted").exists():
            self.run([*self._command(NAMENODE), "-format", "-nonInteractive", "-force"])
            formatted.touch()

    def up(self) -> None:
        super().up()
        self.client().makedirs("/tmp")
        self.client().set_permission("/tmp", "1777")

    def admin(self, *arguments: str) -> None:
        """One `hdfs dfsadmin` command, which has no equal in WebHDFS; ServerError if it fails."""
        self.run(self.java(DFSADMIN, *arguments, heap="64m", before=str(self._conf)))

    def safe_mode(self, on: bool) -> None:
        """While it is on, the NameNode lists and reads, and refuses every change."""
        self.admin("-safemode", "enter" if on else "leave")

    def environment(self) -> dict[str, str]:
        return {"WEBHDFS": self.webhdfs, "HDFS_URL": self.url}

    def _places(self) -> dict[str, str]:
        port = {name: f"{LOOPBACK}:{number}" for name, number in self.ports.items()}
        return {
            "fs.defaultFS": self.url,
            "hadoop.tmp.dir": str(self.folder / "tmp"),
            "dfs.namenode.name.dir": (self.folder / "name").as_uri(),
            "dfs.datanode.data.dir": (self.folder / "data").as_uri(),
            "dfs.namenode.rpc-address": port["rpc"],
            "dfs.namenode.rpc-bind-host": LOOPBACK,
            "dfs.namenode.http-address": port["http"],
            "dfs.namenode.http-bind-host": LOOPBACK,
            "dfs.datanode.address": port["data"],
            "dfs.datanode.http.address": port["data_http"],
            "dfs.datanode.ipc.address": port["data_ipc"],
        }

    @property
    def _conf(self) -> Path:
        return self.folder / "conf"

    def _command(self, main: str) -> list[str]:
        options = [f"-Dhadoop.home.dir={self.folder}"]
        return self.java(main, heap="256m", options=options, before=str(self._conf))

    def _namenode_answers(self) -> bool:
        """It lists its root; with a living DataNode, a file is written and read."""
        if not connects(self.ports["http"]):
            return False
        self.client(timeout=3).list("/")
        return not self.datanode.alive or self._round_trip()

    def _datanode_answers(self) -> bool:
        """A file is written and read, or, while the NameNode is down, the port is open."""
        return self._round_trip() if self.namenode.alive else connects(self.ports["data_http"])

    def _round_trip(self) -> bool:
        client, path = self.client(timeout=3), f"/tmp/.ready-{uuid.uuid4().hex}"
        try:
            client.write(path, b"ready", overwrite=False)
            with client.read(path) as reader:
                return bool(reader.read() == b"ready")
        finally:
            client.delete(path)


def _xml(settings: dict[str, str]) -> str:
    entry = "<property><name>{}</name><value>{}</value></property>\n"
    return f"<configuration>{''.join(entry.format(k, escape(v)) for k, v in settings.items())}</configuration>"
