"""A Spark standalone cluster from pyspark's own jars: a master, two workers.  Not part of the sandbox: tests start it.

The workers are on two addresses of loopback, so that Spark takes them for two hosts: it speculates only on another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pyspark

from servers.daemon import Daemon, wait_for
from servers.jvm import java_home
from servers.ports import LOOPBACK
from servers.server import JVM, Server

HOSTS = (LOOPBACK, "127.0.0.2")
HOME = Path(pyspark.__file__).parent
SECONDS = 60.0


class SparkCluster(Server):
    """``master`` is what ``spark.master`` takes; ``workers`` are the daemons, of two cores each."""

    name = "spark"
    port_names = ("master", "master_ui", "worker1", "worker1_ui", "worker2", "worker2_ui")

    def make_daemons(self) -> tuple[Daemon, ...]:
        self.spark_master = Daemon("master", self.folder, self._master_command, lambda: bool(self._state()["url"]))
        self.workers = tuple(self._worker(number) for number in (1, 2))
        return (self.spark_master, *self.workers)

    @property
    def master(self) -> str:
        return f"spark://{LOOPBACK}:{self.ports['master']}"

    def prepare(self) -> None:
        """Nothing: all settings are arguments."""

    def environment(self) -> dict[str, str]:
        return {"SPARK_MASTER": self.master}

    def executors(self) -> list[psutil.Process]:
        """The JVMs that run tasks now, of whatever application."""
        return [executor for worker in self.workers for executor in self.executors_of(worker)]

    def executors_of(self, worker: Daemon) -> list[psutil.Process]:
        """Those of one worker; none of a dead one, though they may outlive it for a moment."""
        children = psutil.Process(pid).children() if (pid := worker.pid) else []
        return [p for p in children if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in _command(p)]

    def wait_idle(self) -> None:
        """Until no application runs: executors outlive a killed driver for a moment."""
        wait_for(lambda: not self._state()["activeapps"] and not self.executors(), SECONDS, "the cluster to be idle")

    def _worker(self, number: int) -> Daemon:
        name = f"worker{number}"
        return Daemon(
            name, self.folder, lambda: self._worker_command(name, HOSTS[number - 1]), lambda: self._knows(name)
        )

    def _master_command(self) -> list[str]:
        place = ["--host", LOOPBACK, "--port", str(self.ports["master"]), "--webui-port", str(self.ports["master_ui"])]
        return self._spark("org.apache.spark.deploy.master.Master", *place)

    def _worker_command(self, name: str, host: str) -> list[str]:
        place = ["--host", host, "--port", str(self.ports[name]), "--webui-port", str(self.ports[f"{name}_ui"])]
        means = ["--cores", "2", "--memory", "2g", "--work-dir", str(self.folder / name)]
        return self._spark("org.apache.spark.deploy.worker.Worker", *place, *means, self.master)

    def _spark(self, main: str, *arguments: str) -> list[str]:
        """By Spark's own launcher, which ends as the Java program that it starts; executors inherit its environment."""
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            "SPARK_HOME": HOME,
            "JAVA_HOME": java_home(),
            "SPARK_DAEMON_MEMORY": "192m",
            "SPARK_DAEMON_JAVA_OPTS": " ".join(JVM),
            "SPARK_LOCAL_DIRS": temporary,
        }
        variables = [f"{name}={value}" for name, value in environment.items()]
        return ["env", *variables, str(HOME / "bin" / "spark-class"), main, *arguments]

    def _knows(self, name: str) -> bool:
        """Whether the master counts on this worker."""
        workers = [w for w in self._state()["workers"] if w["port"] == self.ports[name]]
        return any(worker["state"] == "ALIVE" for worker in workers)

    def _state(self) -> Mapping[str, Any]:
        with urlopen(f"http://{LOOPBACK}:{self.ports['master_ui']}/json/", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def _command(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except psutil.Error:
        command = []
    return command
