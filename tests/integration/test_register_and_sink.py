"""Register and sink that do not belong together: exit 3, nothing written, and the very command printed mends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from demonstration.launches import kill, register
from kazoo.client import KazooClient

from offsets.stores import open_store
from servers.kafka_server import Kafka
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, Process, Topics, command_in, new_job, once

FIRST, MORE = 40, 25  # records a partition: what the first run lands, and what comes later
RECORDS = 3000  # a partition, for the test that kills
KILLS = 10  # launches tried until a SIGKILL lands between prepare and commit

# Rows in many folders make a batch long to publish.
SPREAD = """
from streaming.rows import Routed

def by_folder(record):
    row = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return Routed(f"n={record.offset % 50}", row)
"""


@pytest.fixture(scope="module")
def topic(topics: Topics) -> str:
    return topics.create()


@pytest.fixture(scope="module")
def original(kafka: Kafka, topics: Topics, topic: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A job that has landed all there was, in two batches; since then more has come."""
    made = new_job(tmp_path_factory.mktemp("original"), kafka, topic, source__maxOffsetsPerTrigger=str(FIRST))
    topics.fill(topic, FIRST, FIRST)
    ended = made.run()
    topics.fill(topic, MORE, MORE)
    assert (ended.status, ended.summary["batches"]) == (0, 2), ended.said
    assert made.landed() == once(topic, {0: (0, FIRST), 1: (0, FIRST)})
    yield made
    made.end()


@pytest.fixture
def landed(original: Job, job: Callable[..., Job], topic: str) -> Job:
    """A copy of it of the test's own."""
    made = job(topic)
    for part in ("offsets", "lake"):
        shutil.copytree(original.folder / part, made.folder / part)
    return made


def stopped(job: Job, *arguments: str) -> Process:
    """Launches, and asserts that it stops with 3 and one line, and that nothing was written."""
    before = job.register_bytes(), job.everything()
    ended = job.run(*arguments)
    assert ended.status == ended.summary["exitStatus"] == 3, ended.said
    assert len(ended.complaints) == len(ended.stderr.splitlines()) == 1, ended.said
    assert (job.register_bytes(), job.everything()) == before
    return ended


def goes_on(job: Job, line: str, topic: str) -> None:
    """The command that the line prints lands the rest, each record once, and the next launch finds nothing wrong."""
    everything = once(topic, {0: (0, FIRST + MORE), 1: (0, FIRST + MORE)})
    ended = job.obey(line, lambda: job.offsets(topic) == {0: FIRST + MORE, 1: FIRST + MORE})
    assert (ended.status, ended.summary["exitReason"]) == (0, "drained on a signal"), ended.said
    assert job.landed() == everything
    after = job.run()
    assert (after.status, after.summary["exitReason"]) == (0, "nothing new"), after.said


def test_first_launch(original: Job, topic: str) -> None:
    """A first launch makes register and marker, which know each other, and a batch log without a hole."""
    assert (original.lake / "_application.json").is_file()
    assert original.register().app in (original.lake / "_application.json").read_text()
    assert [path.name for path in sorted(batch_log(original).iterdir())] == [
        f"{seq:010}.json" for seq in range(original.register().seq - 2, original.register().seq)
    ]


def test_crash_between_register_and_marker(landed: Job, topics: Topics, job: Callable[..., Job]) -> None:
    """A register that was made but never taken, without its marker, is still a first launch."""
    made = job(topics.create(), name="fresh")
    assert made.run().status == 0
    states = sorted((made.folder / "offsets" / "state").iterdir())
    for later in states[1:]:
        later.unlink()
    (made.lake / "_application.json").unlink()
    assert made.run().status == 0
    assert (made.lake / "_application.json").is_file()


@pytest.mark.full  # tests/incidents has it without Spark
def test_register_lost(landed: Job, topic: str) -> None:
    """The store's folder is gone: 3, and `--recover register` goes on from the batch log."""
    shutil.rmtree(landed.folder / "offsets")
    (line,) = stopped(landed).complaints
    assert line.startswith("register lost: ")
    assert landed.settings["offsets.store"] in line
    assert landed.settings["sink.path"] in line
    goes_on(landed, line, topic)


@pytest.mark.full  # tests/incidents has it without Spark
def test_register_damaged(landed: Job, topic: str) -> None:
    """A flipped byte in the newest state: 3, and the command of a lost register goes on from the batch log."""
    newest = max((landed.folder / "offsets" / "state").iterdir())
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    (line,) = stopped(landed).complaints
    assert landed.settings["offsets.store"] in line
    ended = landed.run(*command_in(line, str(landed.path)))
    assert ended.status == 0, ended.said
    assert landed.landed() == once(topic, {0: (0, FIRST + MORE), 1: (0, FIRST + MORE)})


@pytest.mark.full
def test_marker_lost(landed: Job, topic: str) -> None:
    """The sink's marker is gone: 3, and `--recover marker` writes it anew."""
    (landed.lake / "_application.json").unlink()
    (line,) = stopped(landed).complaints
    assert line.startswith("marker lost: ")
    goes_on(landed, line, topic)


def test_empty_sink(landed: Job) -> None:
    """A sink that lost everything, or another folder: 3, never a second landing from the register's offsets."""
    shutil.rmtree(landed.lake)
    (line,) = stopped(landed).complaints
    assert line.startswith("marker lost: ")
    assert landed.settings["sink.path"] in line


def test_two_applications(landed: Job, topics: Topics, job: Callable[..., Job]) -> None:
    """One job's register over another one's sink: 3, with both names, and no recovery mends it."""
    other = job(topics.create(), name="other")
    assert other.run().status == 0
    before = other.everything()
    for arguments in ((), ("--recover", "marker"), ("--recover", "register")):
        (line,) = stopped(landed, "--set", f"sink.path={other.settings['sink.path']}", *arguments).complaints
        assert other.settings["sink.path"] in line
    assert other.everything() == before


def test_healthy_things_are_not_mended(landed: Job) -> None:
    """--recover register and --recover marker refuse where nothing is lost."""
    for what in ("register", "marker"):
        stopped(landed, "--recover", what)


def test_register_lost_before_any_batch(topics: Topics, job: Callable[..., Job]) -> None:
    """With no batch log there is nothing to rebuild from: each line says what to do next, and that works."""
    topic = topics.create(1)
    made = job(topic)
    assert made.run().status == 0
    shutil.rmtree(made.folder / "offsets")
    stopped(made)
    (line,) = stopped(made, "--recover", "register").complaints
    marker = made.lake / "_application.json"
    assert f"{made.settings['sink.path']}/{marker.name}" in line
    assert "first launch" in line
    marker.unlink()
    assert made.run().status == 0


@pytest.mark.full
@pytest.mark.parametrize("logged", [True, False])
def test_znode_lost_with_a_batch_prepared(
    zookeeper: ZooKeeper, topics: Topics, job: Callable[..., Job], logged: bool
) -> None:
    """SIGKILL between prepare and commit, before or after the batch log entry; then the znode is deleted.

    The recovery publishes that batch if it was logged, and else reads its records again: each is there once.
    """
    topic = topics.create()
    path = f"/lost/{topic}"
    made = job(topic, offsets__store=f"zookeeper://{zookeeper.hosts}{path}", source__maxOffsetsPerTrigger="1000")
    (made.folder / "spread.py").write_text(SPREAD)
    made.write(job__function="spread:by_folder")
    topics.fill(topic, RECORDS, RECORDS)
    kill_between_prepare_and_commit(made, logged)
    delete_znode(zookeeper, f"{path}/register")
    (line,) = stopped(made).complaints
    assert line.startswith("register lost: ")
    ended = made.obey(line, lambda: made.offsets(topic) == {0: RECORDS, 1: RECORDS})
    assert ended.status == 0, ended.said
    assert ended.summary["redoneBatches"] == logged
    assert made.landed() == once(topic, {0: (0, RECORDS), 1: (0, RECORDS)})


def kill_between_prepare_and_commit(job: Job, logged: bool) -> None:
    """Launches until a SIGKILL of the driver has left a batch, not the first, prepared but not committed."""
    with closing(open_store(job.settings["offsets.store"], 4.0, 10.0)) as store:
        for _ in range(KILLS):
            known = entries(job) + 1

            def now(known: int = known) -> bool:
                if logged:
                    return entries(job) > known  # written first of all that a publication does
                state = register(store)
                return state is not None and state.pending is not None and state.seq > known

            launch = job.submit("--available-now")
            if kill(launch, "driver", now):
                launch.wait_gone(15)
            state = register(store)
            if state and state.pending and (batch_log(job) / f"{state.seq:010}.json").exists() == logged:
                return
    raise AssertionError(f"no SIGKILL landed in a batch in flight within {KILLS} launches")


def batch_log(job: Job) -> Path:
    return job.lake / "_batches" / "0"


def entries(job: Job) -> int:
    """How many batches are in the log."""
    return len(list(batch_log(job).glob("*.json")))


def delete_znode(zookeeper: ZooKeeper, path: str) -> None:
    client = KazooClient(zookeeper.hosts)
    client.start(10)
    client.delete(path)
    client.stop()
    client.close()
