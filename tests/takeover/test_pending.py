"""A batch that a crash left prepared, and what may have happened to it, its topic or its job before the next launch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from offsets.filesystems import Filesystem, open_filesystem
from offsets.structs import Pending
from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, Topics, once
from tests.takeover.drivers import At, Drivers
from tests.takeover.stores import contents, mostly, places

RECORDS = 6  # a partition
BATCH = 2  # of them; the second batch is pending
PREPARED = At("prepare.after", hit=2)


@pytest.fixture
def topic(topics: Topics) -> str:
    topics.fill(name := topics.create(), RECORDS, RECORDS)
    return name


@pytest.fixture(params=mostly("file", ("file", "hdfs")))
def interrupted(
    request: pytest.FixtureRequest,
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    tmp_path: Path,
    topic: str,
    job: Callable[..., Job],
    drivers: Drivers,
) -> Job:
    """A job whose second batch is pending: prepared, and nothing of it published.  Local files, or HDFS."""
    made = job(
        topic,
        source__maxOffsetsPerTrigger=str(2 * BATCH),
        offsets__session__timeout__ms="4000",
        **places(request.param, "job", tmp_path, zookeeper, hdfs),
    )
    killed = drivers.run(made.path, PREPARED)
    assert killed.status == -9, killed.said
    assert made.register().seq == 1
    assert made.landed() == landed(topic, BATCH)
    return made


def landed(topic: str, records: int) -> object:
    return once(topic, {0: (0, records), 1: (0, records)})


def pending(job: Job) -> Pending:
    found = job.register().pending
    assert found is not None
    return found


def lake(job: Job) -> Filesystem:
    return open_filesystem(job.settings["sink.path"])


def manifest_of(job: Job) -> str:
    ref = pending(job).manifest
    assert ref is not None
    return ref.path


def staged_of(job: Job) -> str:
    """One of the files that the pending batch will publish."""
    folder = manifest_of(job).rpartition("/")[0]
    return next(f"{folder}/{s.name}" for s in lake(job).list(folder) if s.name != "manifest.json")


def flipped(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


DAMAGE: dict[str, tuple[Callable[[Job], str], Callable[[bytes], bytes | None]]] = {
    "manifest gone": (manifest_of, lambda _: None),
    "manifest empty": (manifest_of, lambda _: b""),
    "manifest cut": (manifest_of, lambda content: content[:-1]),
    "manifest flipped": (manifest_of, flipped),
    "staged file cut": (staged_of, lambda content: content[:-1]),
    "staged file empty": (staged_of, lambda _: b""),
    "staged file longer": (staged_of, lambda content: 2 * content),
}


def replace_file(at: Filesystem, path: str, content: bytes | None) -> None:
    at.delete(path)
    if content is not None:
        at.put(path, content)


@pytest.mark.parametrize("how", DAMAGE)
def test_damage(interrupted: Job, topic: str, drivers: Drivers, how: str) -> None:
    """The manifest is a file, and files get damaged: 3, and no damage is seen; restored, the next launch finishes."""
    which, damaged = DAMAGE[how]
    path, at, register = which(interrupted), lake(interrupted), interrupted.register()
    whole = at.read(path)
    replace_file(at, path, damaged(whole))
    stopped = drivers.run(interrupted.path)
    assert (stopped.status, len(stopped.complaints)) == (3, 1), stopped.said
    assert path.rpartition("/")[0] in stopped.complaints[0]
    assert "remedy: " in stopped.complaints[0]
    assert interrupted.register().pending == register.pending
    # Of the batch's files those may be there that were looked at before the damaged one; never that one.
    seen = interrupted.landed()
    assert seen <= landed(topic, 2 * BATCH)
    assert max(seen.values()) == 1
    if which is manifest_of:
        assert seen == landed(topic, BATCH)
    replace_file(at, path, whole)
    ended = drivers.run(interrupted.path)
    assert (ended.status, ended.summary["redoneBatches"]) == (0, 1), ended.said
    assert interrupted.landed() == landed(topic, RECORDS)


def test_a_replaced_topic(interrupted: Job, topic: str, topics: Topics, drivers: Drivers) -> None:
    """What was read of the old topic is published, for it was decided; then it stops, and the new one is not read."""
    topics.delete(topic)
    topics.create(name=topic)
    topics.fill(topic, RECORDS, RECORDS)
    stopped = drivers.run(interrupted.path)
    assert stopped.status == 3, stopped.said
    assert f"REPLACED {topic}" in stopped.complaints[0]
    assert interrupted.register().pending is None
    assert interrupted.register().seq == 2
    assert interrupted.landed() == landed(topic, 2 * BATCH)
    before = interrupted.register().topics, contents(interrupted)
    assert drivers.run(interrupted.path).status == 3
    assert (interrupted.register().topics, contents(interrupted)) == before


def test_a_topic_that_is_gone(interrupted: Job, topic: str, topics: Topics, drivers: Drivers) -> None:
    """The same where there is no topic any more."""
    topics.delete(topic)
    stopped = drivers.run(interrupted.path)
    assert stopped.status == 3, stopped.said
    assert "TOPIC_MISSING" in stopped.complaints[0]


@pytest.mark.parametrize("guarantee", ["at-least-once", "at-most-once"])
def test_another_profile(interrupted: Job, topic: str, drivers: Drivers, guarantee: str) -> None:
    """A pending batch is finished as it was decided, whatever is promised from now on; nothing is lost or doubled."""
    interrupted.write(job__delivery__guarantee=guarantee)
    ended = drivers.run(interrupted.path)
    assert (ended.status, ended.summary["redoneBatches"]) == (0, 1), ended.said
    assert interrupted.landed() == landed(topic, RECORDS)
    interrupted.write(job__delivery__guarantee="exactly-once")
    again = drivers.run(interrupted.path)
    assert (again.status, again.summary["exitReason"]) == (0, "nothing new"), again.said
