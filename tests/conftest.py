"""Real servers for every test that asks for one: started when first asked for, ended with the run, never skipped.

`kafka`, `zookeeper`, `hdfs` and `postgres` live for the whole run; whatever a test killed or stopped is up again
before the next.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from servers.cluster import Sandbox
from servers.hdfs_server import Hdfs
from servers.jvm import java_home as find_java_home
from servers.kafka_server import Kafka
from servers.postgres_server import Postgres
from servers.proxy import Proxy
from servers.spark_cluster import SparkCluster
from servers.venvs import venv_python
from servers.zookeeper_server import ZooKeeper

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes says nothing on a machine that has other things to do.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Executors import the project from the checkout as well, whatever the working folder of the run.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
# The JVMs that tests start for Spark live for seconds: without the optimizing compiler they start in half the CPU time.
os.environ["SPARK_SUBMIT_OPTS"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"


@pytest.fixture(scope="session")
def java_home() -> Path:
    """A Java 17 or 21, set as JAVA_HOME for Spark."""
    home = find_java_home()
    os.environ["JAVA_HOME"] = str(home)
    return home


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The run's servers, none started yet; they end with the run, even if it is killed."""
    sandbox = Sandbox(tmp_path_factory.mktemp("servers"))
    sandbox.end_with_me()
    yield sandbox
    sandbox.down(graceful=False)


@pytest.fixture(scope="session")
def kafka(sandbox: Sandbox, java_home: Path) -> Kafka:
    """`kafka.bootstrap`; `kafka.broker` is the process."""
    sandbox.up(["kafka"])
    return sandbox.kafka


@pytest.fixture(scope="session")
def zookeeper(sandbox: Sandbox, java_home: Path) -> ZooKeeper:
    """`zookeeper.hosts`; `zookeeper.server` is the process."""
    sandbox.up(["zookeeper"])
    return sandbox.zookeeper


@pytest.fixture(scope="session")
def hdfs(sandbox: Sandbox, java_home: Path) -> Hdfs:
    """`hdfs.webhdfs`, `hdfs.webhdfs_url`, `hdfs.url`, `hdfs.client(user)`; `hdfs.namenode` and `hdfs.datanode`."""
    sandbox.up(["hdfs"])
    return sandbox.hdfs


@pytest.fixture(scope="session")
def postgres(sandbox: Sandbox) -> Iterator[Postgres]:
    """`postgres.url`, `postgres.database(name)` for one of its own; `postgres.server` is the process."""
    try:
        sandbox.up(["postgres"])
        yield sandbox.postgres
    finally:
        sandbox.postgres.down(graceful=False)
        sandbox.postgres.forget()


@pytest.fixture(scope="session")
def _spark_servers(sandbox: Sandbox, java_home: Path) -> Iterator[SparkCluster]:
    cluster = SparkCluster(sandbox.data / SparkCluster.name)
    yield cluster
    cluster.down(graceful=False)


@pytest.fixture
def spark_cluster(_spark_servers: SparkCluster) -> SparkCluster:
    """`spark_cluster.master`; master and both workers are up, and no application runs."""
    _spark_servers.up()
    _spark_servers.wait_idle()
    return _spark_servers


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A python of this version without any package: executors with it have pyspark only, from Spark's own folder."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, symlinks=True)
    return home / "bin" / "python"


@pytest.fixture(scope="session")
def executor_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A python with the packages of this venv, but not with the checkout: that comes only to those who are sent it."""
    home = tmp_path_factory.mktemp("executor")
    venv.create(home, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin" / "python"


@pytest.fixture(autouse=True)
def _mend_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    """A server that the test left killed or stopped is up again for the next one."""
    yield
    if "sandbox" in request.fixturenames:
        sandbox: Sandbox = request.getfixturevalue("sandbox")
        for server in sandbox.known():
            if not server.alive or any(daemon.stopped for daemon in server.daemons):
                server.up()


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """`proxy(target, port=0)` gives a TCP proxy to "host:port"; all of them are closed after the test."""
    made: list[Proxy] = []

    def make(target: str, port: int = 0) -> Proxy:
        made.append(Proxy(target, port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def kafka_proxy(kafka: Kafka, proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy in front of the broker: a client that bootstraps at `kafka_proxy.address` stays behind it."""
    return proxy(kafka.proxy_target, kafka.ports["proxy"])


@pytest.fixture(scope="session")
def pyspark35() -> Path:
    """The python of a second venv with the newest pyspark 3.5, made once: for the smoke run on the older Spark."""
    return venv_python(ROOT / ".venv-pyspark35", ROOT, "pyspark ==3.5.*")
