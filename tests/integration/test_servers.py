"""The sandbox itself: each daemon can be killed, held and brought back with its data, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hdfs.util import HdfsError
from kazoo.client import KazooClient

from servers.cluster import Sandbox
from servers.daemon import Daemon, ServerError, marked
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.proxy import Mode, Proxy
from servers.zookeeper_server import ZooKeeper

SANDBOX = Path(__file__).resolve().parents[2] / "scripts" / "sandbox.py"


@pytest.fixture
def topic(kafka: Kafka) -> str:
    """A new topic with one partition and one record, `kept`."""
    name = f"servers-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(name, b"kept")
    assert producer.flush(30) == 0
    return name


def first_value(bootstrap: str, topic: str) -> bytes | None:
    """The value of the topic's first record."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(30)
        return message.value() if message and not message.error() else None
    finally:
        consumer.close()


@contextmanager
def session(hosts: str, seconds: float = 10) -> Iterator[KazooClient]:
    client = KazooClient(hosts, timeout=seconds)
    client.start(15)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def read(hdfs: Hdfs, path: str) -> bytes:
    with hdfs.client().read(path) as reader:
        return bytes(reader.read())


@pytest.mark.full
def test_kafka_keeps_its_records_over_a_kill(kafka: Kafka, topic: str) -> None:
    """SIGKILL of the broker and a restart: same port, same data."""
    before = kafka.bootstrap
    kafka.broker.kill()
    assert not kafka.alive
    kafka.broker.restart()
    assert kafka.bootstrap == before
    assert first_value(kafka.bootstrap, topic) == b"kept"


def test_kafka_makes_no_topic_by_itself(kafka: Kafka) -> None:
    """A misspelt topic stays unknown."""
    name = f"never-{uuid.uuid4().hex}"
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.timeout.ms": 1000, "log_level": 0})
    producer.produce(name, b"x")
    producer.flush(10)
    assert name not in AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics


def test_a_client_that_comes_through_the_proxy_stays_behind_it(kafka: Kafka, topic: str, kafka_proxy: Proxy) -> None:
    """The broker's metadata leads back through the proxy, so that a refusing proxy is a broker that is gone."""
    assert kafka_proxy.address == kafka.proxied_bootstrap
    assert first_value(kafka_proxy.address, topic) == b"kept"
    kafka_proxy.switch(Mode.REFUSE)
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": kafka_proxy.address, "log_level": 0}).list_topics(timeout=1)


@pytest.mark.full
def test_zookeeper_keeps_its_nodes_over_a_kill(zookeeper: ZooKeeper) -> None:
    """SIGKILL and a restart: an acknowledged write is there."""
    path = f"/{uuid.uuid4().hex}"
    with session(zookeeper.hosts) as client:
        client.create(path, b"kept")
    zookeeper.server.kill()
    zookeeper.server.restart()
    with session(zookeeper.hosts) as client:
        assert client.get(path)[0] == b"kept"


@pytest.mark.parametrize(("asked", "granted"), [(2, 2000), (10, 10_000), (40, 40_000)])
def test_zookeeper_grants_sessions_of_2_to_40_seconds(zookeeper: ZooKeeper, asked: float, granted: int) -> None:
    """What the client asks for is what it gets: the server shortens and lengthens nothing in this range."""
    with session(zookeeper.hosts, asked) as client:
        assert granted_timeout(client) == granted


def granted_timeout(client: KazooClient) -> int:
    """The session's timeout in milliseconds, as the server states it."""
    session_id = f"sid=0x{client.client_id[0]:x}"
    line = next(line for line in client.command(b"cons").splitlines() if session_id in line)
    return int(line.split("to=")[1].split(",")[0])


@pytest.mark.full
def test_hdfs_keeps_its_files_over_a_kill_of_either_daemon(hdfs: Hdfs) -> None:
    """SIGKILL of the NameNode, then of the DataNode: the file reads back each time."""
    path = f"/tmp/{uuid.uuid4().hex}"
    hdfs.client().write(path, b"kept")
    for daemon in (hdfs.namenode, hdfs.datanode):
        daemon.kill()
        daemon.restart()
        assert read(hdfs, path) == b"kept"


def test_hdfs_refuses_who_has_no_rights(hdfs: Hdfs) -> None:
    """Permissions are enforced: another user writes below /tmp only."""
    stranger, name = hdfs.client("stranger"), uuid.uuid4().hex
    with pytest.raises(HdfsError) as refused:
        stranger.write(f"/{name}", b"x")
    assert refused.value.exception == "AccessControlException"
    stranger.write(f"/tmp/{name}", b"x")


@pytest.fixture(params=["kafka.broker", "zookeeper.server", "hdfs.namenode", "hdfs.datanode"])
def each_daemon(request: pytest.FixtureRequest) -> Daemon:
    server, _, daemon = str(request.param).partition(".")
    found = getattr(request.getfixturevalue(server), daemon)
    assert isinstance(found, Daemon)
    return found


def test_a_held_daemon_answers_nothing_until_it_goes_on(each_daemon: Daemon) -> None:
    """SIGSTOP: alive, port open, no answer; SIGCONT: it answers again."""
    each_daemon.wait_ready()
    each_daemon.stop()
    assert each_daemon.alive
    assert each_daemon.stopped
    with pytest.raises(ServerError, match="did not answer"):
        each_daemon.wait_ready(0.1)
    each_daemon.cont()
    each_daemon.wait_ready()
    assert not each_daemon.stopped


def test_a_second_up_reuses_what_runs(sandbox: Sandbox, kafka: Kafka, zookeeper: ZooKeeper) -> None:
    """The pids stay, also for another process that opens the same folder."""
    before = [kafka.broker.pid, zookeeper.server.pid]
    other = Sandbox(sandbox.data)
    other.up(["kafka", "zookeeper"])
    assert [other.kafka.broker.pid, other.zookeeper.server.pid] == before
    assert other.env()["KAFKA_BOOTSTRAP_SERVERS"] == kafka.bootstrap


@pytest.fixture
def command(tmp_path: Path, java_home: Path) -> Iterator[Callable[..., str]]:
    """Runs sandbox.py in a folder of its own and returns its stdout."""

    def run(*arguments: str) -> str:
        line = [sys.executable, str(SANDBOX), "--data", str(tmp_path / "data"), *arguments]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    run("down")


def test_the_command_brings_up_shows_and_ends_a_server(tmp_path: Path, command: Callable[..., str]) -> None:
    """up, status, env, up again, down: the server outlives the command, `down` leaves no process, the data stays."""
    assert "running" in command("up", "zookeeper")
    pids = marked(tmp_path / "data")
    assert len(pids) == 1
    hosts = command("env").removeprefix("export ZOOKEEPER=").strip()
    with session(hosts) as client:
        client.create("/kept", b"kept")
    command("up", "zookeeper")
    assert marked(tmp_path / "data") == pids
    assert "down" in command("down")
    assert marked(tmp_path / "data") == []
    command("up", "zookeeper")
    with session(command("env").removeprefix("export ZOOKEEPER=").strip()) as client:
        assert client.get("/kept")[0] == b"kept"


def test_an_unknown_server_is_a_usage_error(tmp_path: Path) -> None:
    """One line that names it and those there are; nothing is started."""
    line = [sys.executable, str(SANDBOX), "--data", str(tmp_path / "data"), "up", "hbase"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "hbase" in done.stderr
    assert "kafka zookeeper hdfs" in done.stderr
