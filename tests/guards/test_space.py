"""No space left, at each write of a batch, on a local disk and in HDFS: it fails with a remedy, and goes on later."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
import requests

from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from tests.guards.logs import created
from tests.guards.rehearsal import landed_by, launch
from tests.integration.jobs import Job, Topics, once

Jobs = Callable[..., Job]
AFTER = ("publish.before", "commit.before")  # the decision


@contextmanager
def limits_lifted() -> Iterator[None]:
    """RLIMIT_FSIZE is for the block alone: Python sees EFBIG where a full disk gives ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_byte_more() -> None:
    """From now on no file of this process may grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def set_quota(hdfs: Hdfs, path: str, names: int = -1, bytes_: int = -1) -> None:
    """Of one folder; -1 lifts it."""
    options = {"op": "SETQUOTA", "namespacequota": names, "storagespacequota": bytes_, "user.name": hdfs.user}
    requests.put(f"{hdfs.webhdfs_url}/webhdfs/v1{quote(path)}", params=options, timeout=10).raise_for_status()


def names_in(hdfs: Hdfs, path: str) -> int:
    """Folders and files, itself among them: a quota of so many names is full."""
    content = hdfs.client().content(path)
    return int(content["directoryCount"]) + int(content["fileCount"])


def refused(job: Job, moment: str, fill: Callable[[], object]) -> str:
    """Launches and lets the space end at `moment`: 1 and one line with a remedy, which it returns.

    The register's offsets are as before, and the batch is prepared only if that had been done by then.
    """
    before = job.register()
    ended = launch(job, at={moment: fill})
    assert ended.status == ended.summary["exitStatus"] == 1, ended.said
    assert "Traceback" not in ended.said
    (line,) = ended.lines("ERROR")
    assert "; remedy: " in line
    after = job.register()
    first = {name: topic.offsets[0] for name, topic in before.topics.items()}
    assert {name: topic.offsets[0] for name, topic in after.topics.items()} == first
    assert after.seq == before.seq
    assert (after.pending is not None) == (moment in AFTER), line
    return line


@pytest.fixture
def topic(kafka: Kafka, topics: Topics) -> str:
    """Ten records, which a first launch will land."""
    name = created(kafka)
    topics.fill(name, 10)
    return name


@pytest.mark.parametrize("moment", ["stage.before", "prepare.before", "manifest.before", "commit.before"])
def test_a_full_local_disk(topics: Topics, job: Jobs, topic: str, moment: str) -> None:
    """Files cannot grow any more, of sink or register: the batch fails; once there is space, it lands, once (S12)."""
    made = job(topic)
    landed_by(made)
    topics.fill(topic, 10)
    with limits_lifted():
        line = refused(made, moment, no_byte_more)
    assert str(made.folder) in line
    landed_by(made)
    assert made.landed() == once(topic, {0: (0, 20)})


@pytest.mark.parametrize(
    ("moment", "place", "kind"),
    [
        ("stage.before", "sink", "bytes"),
        ("stage.before", "sink", "names"),
        ("manifest.before", "sink", "names"),
        pytest.param("manifest.before", "sink", "bytes", marks=pytest.mark.full),
        ("publish.before", "sink", "names"),
        ("prepare.before", "store", "names"),
        pytest.param("prepare.before", "store", "bytes", marks=pytest.mark.full),
        ("commit.before", "store", "bytes"),
        pytest.param("commit.before", "store", "names", marks=pytest.mark.full),
    ],
)
def test_a_full_quota(hdfs: Hdfs, topics: Topics, job: Jobs, topic: str, moment: str, place: str, kind: str) -> None:
    """Names or bytes of a folder in HDFS run out, of the sink or of the register: the batch fails and says which
    folder; once the quota is lifted it lands, once (S12)."""
    root = {"sink": f"/lake/{topic}", "store": f"/apps/{topic}"}
    stores = {p: f"webhdfs://{hdfs.webhdfs}{path}" for p, path in root.items()}
    made = job(topic, offsets__store=stores["store"], sink__path=stores["sink"], sink__path__format="dt={partition}")
    landed_by(made)
    topics.grow(topic, 2)  # a folder that is not there yet
    topics.fill(topic, 5, 5)

    def fill() -> None:
        if kind == "bytes":
            set_quota(hdfs, root[place], bytes_=1)
        else:
            set_quota(hdfs, root[place], names=names_in(hdfs, root[place]))

    line = refused(made, moment, fill)
    assert root[place] in line
    assert "quota" in line.lower()
    set_quota(hdfs, root[place])
    landed_by(made)
    assert made.landed() == once(topic, {0: (0, 15), 1: (0, 5)})
