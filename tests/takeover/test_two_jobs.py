"""Two drivers of one name, and two jobs that were given one place by mistake: nobody writes where another one works."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import SECONDS, Job, Process, Topics, once
from tests.takeover.drivers import Drivers, ended
from tests.takeover.stores import contents, mostly, places

RECORDS = 4  # a partition
Settings = Callable[[str], dict[str, str]]


@dataclass(frozen=True)
class Host:
    """A prelude: the driver believes to run on that host."""

    name: str

    def __call__(self) -> None:
        socket.gethostname = lambda: self.name


@pytest.fixture(params=mostly("zookeeper"))
def settings(request: pytest.FixtureRequest, zookeeper: ZooKeeper, hdfs: Hdfs, tmp_path: Path) -> Settings:
    """`settings(name)`: a store of one kind, with a session of 4 s, and a sink, of their own for each name."""

    def make(name: str) -> dict[str, str]:
        return {
            **places(request.param, name, tmp_path, zookeeper, hdfs),
            "offsets__session__timeout__ms": "4000",
            "name": name,
        }

    return make


def refused(process: Process, status: int, *words: str) -> str:
    """The one line that a launch said which ended so."""
    assert process.wait().status == status, process.said
    (line,) = process.complaints
    assert [word for word in words if word not in line] == [], line
    return line


def untouched(*jobs: Job) -> list[object]:
    return [(job.register_bytes(), contents(job)) for job in jobs]


def landed_alone(job: Job) -> bool:
    """Whether its whole topic, and nothing else, is in its sink, once."""
    return job.landed() == once(job.settings["source.subscribe"], {0: (0, RECORDS), 1: (0, RECORDS)})


@pytest.fixture
def filled(topics: Topics) -> Callable[[], str]:
    """A new topic with records."""

    def make() -> str:
        topics.fill(topic := topics.create(), RECORDS, RECORDS)
        return topic

    return make


def test_one_job_from_two_hosts(
    settings: Settings, filled: Callable[[], str], job: Callable[..., Job], drivers: Drivers
) -> None:
    """A copy of the job file on another host is the same job: it leaves, naming host and pid of the one at work."""
    made = job(filled(), **settings("one"))
    made.gate()
    copy = Path(shutil.copytree(made.folder, made.folder.parent / "another-host")) / "job.cfg"
    first = drivers.start(made.path, "--available-now", prelude=Host("host-a"))
    made.wait_in_flight()
    before = untouched(made)
    second = drivers.start(copy, "--available-now", prelude=Host("host-b"))
    refused(second, 75, f"another run holds the lock: pid {first.process.pid} on host-a, ")
    assert untouched(made) == before
    made.open_gate()
    assert first.wait().status == 0, first.said
    third = drivers.run(copy, prelude=Host("host-b"))
    assert (third.status, third.summary["exitReason"]) == (0, "nothing new"), third.said
    assert (made.register().epoch, made.register().owner.host) == (2, "host-b")
    assert landed_alone(made)


def test_two_jobs_with_one_store(
    settings: Settings, filled: Callable[[], str], job: Callable[..., Job], drivers: Drivers
) -> None:
    """The second is told that the store may be another job's, before it has written anything, and mended by that."""
    first = job(filled(), **settings("first"))
    second = job(filled(), **{**settings("second"), "offsets__store": first.settings["offsets.store"]})
    assert drivers.run(first.path).status == 0
    before = untouched(first, second)
    line = refused(drivers.run(second.path), 3, "marker lost", first.register().app)
    assert f"give this one an [offsets] store of its own in {second.path}" in line
    assert untouched(first, second) == before
    second.write(offsets__store=settings("second")["offsets__store"])
    assert drivers.run(second.path).status == drivers.run(first.path).status == 0
    assert landed_alone(first)
    assert landed_alone(second)


def test_two_jobs_with_one_sink(
    settings: Settings, filled: Callable[[], str], job: Callable[..., Job], drivers: Drivers
) -> None:
    """The second is told that the sink is another job's, before it has written anything, and mended by that."""
    first = job(filled(), **settings("first"))
    second = job(filled(), **{**settings("second"), "sink__path": first.settings["sink.path"]})
    assert drivers.run(first.path).status == 0
    before = untouched(first, second)
    refused(
        drivers.run(second.path), 3, "register lost", "if another job writes to this sink, give this one a [sink] path"
    )
    assert untouched(first, second) == before
    second.write(sink__path=settings("second")["sink__path"])
    assert drivers.run(second.path).status == drivers.run(first.path).status == 0
    assert landed_alone(first)
    assert landed_alone(second)


def test_two_first_launches_at_one_sink(
    settings: Settings, filled: Callable[[], str], job: Callable[..., Job], drivers: Drivers
) -> None:
    """Both jobs begin at the same moment: one gets the sink, the other is refused, then and at its next launch."""
    both = [job(filled(), **settings(name)) for name in ("first", "second")]
    both[1].write(sink__path=both[0].settings["sink.path"])
    racing = drivers.at_once([each.path for each in both], "--available-now")
    wait_for(lambda: len(ended(racing)) == 2, SECONDS, "both to end")
    assert sorted(p.status for p in racing) == [0, 3], [p.said for p in racing]
    winner, loser = sorted(both, key=lambda each: racing[both.index(each)].status)
    refused(racing[both.index(loser)], 3, winner.register().app)
    before = untouched(winner)
    refused(drivers.run(loser.path), 3, winner.register().app)
    assert untouched(winner) == before
    assert landed_alone(winner)


def test_two_jobs_over_one_register_and_one_sink(
    settings: Settings, filled: Callable[[], str], job: Callable[..., Job], drivers: Drivers
) -> None:
    """A job file copied whole, but for its topic, is the same job: they take turns, each record is there once."""
    first = job(filled(), **settings("first"))
    second = job(filled(), **{**settings("first"), "name": "second"})
    second.write(job__name="second", sink__path=first.settings["sink.path"])
    racing = drivers.at_once([first.path, second.path], "--available-now")
    wait_for(lambda: len(ended(racing)) == 2, SECONDS, "both to end")
    assert {p.status for p in racing} <= {0, 75}, [p.said for p in racing]
    for each in (second, first):
        ran = drivers.run(each.path)
        assert ran.status == 0, ran.said
    spans = {0: (0, RECORDS), 1: (0, RECORDS)}
    assert first.landed() == sum((once(j.settings["source.subscribe"], spans) for j in (first, second)), Counter())
