"""A remote Hive metastore, kept in Derby, from pyspark's own jars.  Not part of the sandbox: tests start it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pyspark

from servers.daemon import Daemon
from servers.ports import LOOPBACK, connects
from servers.server import Server

SETTINGS = """<configuration>
<property><name>javax.jdo.option.ConnectionURL</name><value>jdbc:derby:;databaseName={folder}/db;create=true</value></property>
<property><name>datanucleus.schema.autoCreateAll</name><value>true</value></property>
<property><name>hive.metastore.schema.verification</name><value>false</value></property>
<property><name>hive.metastore.warehouse.dir</name><value>file://{folder}/warehouse</value></property>
<property><name>hive.async.log.enabled</name><value>false</value></property>
</configuration>
"""  # asynchronous logging would want the disruptor, which pyspark does not bring
OPENED = ("java.lang", "java.net", "java.util")


class HiveMetastore(Server):
    """``uri`` is what ``hive.metastore.uris`` takes."""

    name = "hive"
    port_names = ("thrift",)

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.metastore = Daemon("metastore", self.folder, self._command, lambda: connects(self.ports["thrift"]))
        return (self.metastore,)

    @property
    def uri(self) -> str:
        return f"thrift://{LOOPBACK}:{self.ports['thrift']}"

    def prepare(self) -> None:
        (self.folder / "conf").mkdir(exist_ok=True)
        (self.folder / "conf" / "hive-site.xml").write_text(SETTINGS.format(folder=self.folder))

    def environment(self) -> dict[str, str]:
        return {"HIVE_METASTORE": self.uri}

    def _command(self) -> list[str]:
        options = [f"-Dderby.system.home={self.folder}"]
        options += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        main, port = "org.apache.hadoop.hive.metastore.HiveMetaStore", str(self.ports["thrift"])
        return self.java(main, "-p", port, heap="256m", options=options, before=str(self.folder / "conf"))

    @cached_property
    def _classpath(self) -> str:
        return f"{Path(pyspark.__file__).parent}/jars/*"
