"""What a wrong setting looks like to who made it: one line a problem, soon, with the remedy, and nothing is touched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.ports import free_ports
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, Process, Topics, new_job

SOON_SECONDS = 15.0  # what the project promises


@pytest.fixture(scope="module")
def topic(topics: Topics) -> str:
    return topics.create()


@pytest.fixture(scope="module")
def launched(kafka: Kafka, topic: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A job that has a register and a marker already."""
    made = new_job(tmp_path_factory.mktemp("launched"), kafka, topic)
    ended = made.run()
    assert (ended.status, ended.summary["exitReason"]) == (0, "nothing new"), ended.said
    yield made
    made.end()


@pytest.fixture
def later(launched: Job, topic: str, job: Callable[..., Job]) -> Job:
    """A copy of it of the test's own."""
    made = job(topic)
    for part in ("offsets", "lake"):
        shutil.copytree(launched.folder / part, made.folder / part)
    return made


@pytest.fixture(params=["first launch", "later launch"])
def either(request: pytest.FixtureRequest, topic: str, job: Callable[..., Job]) -> Job:
    """A job that was never launched, and one that was."""
    if request.param == "first launch":
        return job(topic)
    made: Job = request.getfixturevalue("later")
    return made


def stopped(job: Job, status: int, *arguments: str) -> Process:
    """Launches, and asserts what holds for every stop."""
    before = job.register_bytes(), job.everything()
    ended = job.run(*arguments)
    checked(ended, status)
    assert (job.register_bytes(), job.everything()) == before
    return ended


def checked(ended: Process, status: int) -> None:
    """What holds for what every stop says."""
    assert ended.status == status, ended.said
    assert ended.summary["durationMs"]["run"] < SOON_SECONDS * 1000  # without what Python takes to start
    assert "Traceback" not in ended.said
    assert len(ended.stdout.splitlines()) == 1
    assert (ended.summary["exitStatus"], bool(ended.summary["exitReason"])) == (status, True)
    assert re.search(r"; remedy: \S.{10}", ended.complaints[-1]), ended.said


def only_line(ended: Process) -> str:
    """One line is all that was said, and the summary gives the same reason."""
    (line,) = ended.complaints
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert line.startswith(ended.summary["exitReason"])
    return line


def nowhere() -> str:
    """A loopback address at which nobody listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"


def test_wrong_addresses(later: Job, tmp_path: Path) -> None:
    """Nobody listens where broker, store or sink should be: 69, with the address.  All three at once, as they wait."""
    wrong = {
        "kafka.bootstrap.servers={}": ["--set", f"offsets.store=file://{tmp_path}/of-its-own"],
        "offsets.store=zookeeper://{}/apps/orders": [],
        "sink.path=webhdfs://{}/lake/orders": [],
    }
    before = later.register_bytes(), later.everything()
    runs = {}
    for setting, more in wrong.items():
        address = nowhere()
        runs[address] = later.start("--available-now", "--set", setting.format(address), *more)
    for address, run in runs.items():
        checked(run.wait(), 69)
        assert address in only_line(run)
    assert (later.register_bytes(), later.everything()) == before


@pytest.mark.full
def test_not_a_broker(later: Job, zookeeper: ZooKeeper) -> None:
    """Somebody else listens at bootstrap.servers: 69, with the address."""
    line = only_line(stopped(later, 69, "--set", f"kafka.bootstrap.servers={zookeeper.hosts}"))
    assert f"bootstrap.servers={zookeeper.hosts}" in line


@pytest.mark.full
def test_not_a_zookeeper(later: Job, hdfs: Hdfs) -> None:
    """Somebody else listens at the offset store's address: 69, with the address."""
    line = only_line(stopped(later, 69, "--set", f"offsets.store=zookeeper://{hdfs.webhdfs}/apps/orders"))
    assert hdfs.webhdfs in line


@pytest.mark.full
def test_not_a_namenode(later: Job, zookeeper: ZooKeeper) -> None:
    """Somebody else listens at the sink's address: 69, with the address."""
    line = only_line(stopped(later, 69, "--set", f"sink.path=webhdfs://{zookeeper.hosts}/lake/orders"))
    assert zookeeper.hosts in line


@pytest.mark.full
def test_a_namenode_that_hangs(later: Job, hdfs: Hdfs) -> None:
    """The NameNode takes connections and never answers: 69, with the address, as soon as for any other reason."""
    hdfs.namenode.stop()
    line = only_line(stopped(later, 69, "--set", f"sink.path=webhdfs://{hdfs.webhdfs}/lake/orders"))
    assert hdfs.webhdfs in line


def test_unwritable_local_sink(either: Job, tmp_path: Path) -> None:
    """A path below a regular file: 1, with the path."""
    (tmp_path / "file").touch()
    line = only_line(stopped(either, 1, "--set", f"sink.path=file://{tmp_path}/file/lake"))
    assert f"{tmp_path}/file" in line


def test_unwritable_store(either: Job, tmp_path: Path) -> None:
    """A folder below a regular file: 1, with the path."""
    (tmp_path / "file").touch()
    line = only_line(stopped(either, 1, "--set", f"offsets.store=file://{tmp_path}/file/offsets"))
    assert f"{tmp_path}/file" in line


def test_no_rights_in_hdfs(either: Job, hdfs: Hdfs) -> None:
    """A user who may not write there: 1, with user and path, and no folder is made."""
    hdfs.client().makedirs("/guarded")
    line = only_line(stopped(either, 1, "--set", f"sink.path=webhdfs://{hdfs.webhdfs}/guarded/orders?user=stranger"))
    assert "/guarded/orders" in line
    assert "stranger" in line
    assert hdfs.client().list("/guarded") == []


def test_missing_topic(either: Job, topic: str) -> None:
    """A topic that nobody made: 2, with the name and the nearest that exists."""
    line = only_line(stopped(either, 2, "--set", f"source.subscribe={topic[:-1]}"))
    assert f"topic {topic[:-1]} does not exist; did you mean {topic}" in line


def test_every_mistake_at_once(either: Job) -> None:
    """Unknown options and wrong values: 2, one line each, before any connection (to an address that is a hole)."""
    ended = stopped(
        either,
        2,
        *("--set", "source.subscribed=orders"),
        *("--set", "source.maxOffsetsPerTrigger=many"),
        *("--set", "kafka.fetch.min.bites=1"),
        *("--set", "kafka.enable.auto.commit=true"),
        *("--set", "sink.format=parket"),
        *("--set", "spark.spark.streaming.concurrentJobs=2"),
        *("--set", f"kafka.bootstrap.servers={nowhere()}"),
        *("--set", f"offsets.store=zookeper://{nowhere()}/orders"),
    )
    wanted = (
        r"source\.subscribed: unknown; did you mean source\.subscribe\b",
        r"source\.maxOffsetsPerTrigger = many: must be a whole number",
        r"kafka\.fetch\.min\.bites: no such property",
        r"kafka\.enable\.auto\.commit: refused",
        r"sink\.format = parket: must be one of",
        r"spark\.streaming\.concurrentJobs: refused",
        r"offsets\.store = zookeper://.*did you mean zookeeper",
    )
    assert len(ended.complaints) == len(wanted), ended.said
    for pattern in wanted:
        assert any(re.search(pattern, line) for line in ended.complaints), (pattern, ended.said)
    assert str(either.path) in ended.complaints[-1]


def test_secrets_on_the_command_line(later: Job) -> None:
    """Secret keys in --set: 2, a line each, and no secret is said again."""
    options = ("kafka.sasl.password", "kafka.ssl.key.pem", "spark.spark.ssl.keyPassword")
    ended = stopped(later, 2, *(word for option in options for word in ("--set", f"{option}=hunter2")))
    assert len(ended.complaints) == len(options), ended.said
    assert all(any(option in line for line in ended.complaints) for option in options)
    assert "hunter2" not in ended.said


@pytest.mark.parametrize("kind", ["missing", "folder", "binary", "no INI"])
def test_unreadable_job_file(tmp_path: Path, later: Job, kind: str) -> None:
    """A job file that cannot be read: 2, with its path."""
    path = tmp_path / "other.cfg"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\xff\xfe\x00" if kind == "binary" else b"name = orders\n")
    ended = later.start("--available-now", job=str(path)).wait()
    assert ended.status == 2
    assert str(path) in only_line(ended)
    assert "remedy: " in ended.complaints[-1]
    assert "Traceback" not in ended.said
    assert ended.summary["exitStatus"] == 2


def test_debug_gives_the_trace(later: Job, tmp_path: Path) -> None:
    """With --debug the same stop comes with its stack trace."""
    (tmp_path / "file").touch()
    ended = later.run("--debug", "--set", f"sink.path=file://{tmp_path}/file/lake")
    assert ended.status == 1
    assert "Traceback" in ended.stderr


@pytest.mark.parametrize("start", ["python", "spark-submit"])
def test_spark_that_does_not_start(topics: Topics, job: Callable[..., Job], start: str) -> None:
    """A master that Spark does not know: 1, and our own line names it; Spark's own page before it is Spark's."""
    topic = topics.create(1)
    topics.fill(topic, 1)
    made = job(topic, spark__spark__master="local[two]")
    if start == "python":
        ended = made.run()
        status, said, summary = ended.status, ended.said, ended.summary
    else:
        launch = made.submit("--available-now")
        status, said, summary = launch.wait(), launch.output, launch.summary
    (line,) = (line for line in said.splitlines() if re.match(r"\d{4}-\d\d-\d\d .* ERROR ", line))
    assert (status, summary["exitStatus"]) == (1, 1)
    assert "Spark did not start (spark.master = local[two])" in line
    assert "remedy: " in line
    assert made.landed() == {}
