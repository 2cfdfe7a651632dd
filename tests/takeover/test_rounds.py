"""Five launches of one job at the same moment, again and again: one works, four leave with 75, as if one had come."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from demonstration.counter import published

from offsets.codec import decode_manifest
from offsets.filesystems import open_filesystem
from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import SECONDS, Job, Topics, once
from tests.takeover.drivers import Drivers, ended
from tests.takeover.stores import places

LAUNCHES = 5
SUBMITTED = 10  # rounds by spark-submit
RECORDS = 3  # that each round brings, a partition
SESSION_MS = "6000"  # a launch waits so long, and 3 s, for what may be a dead holder; a busy machine is none


class Lane:
    """Rounds one after the other over one register, beside a job that is only ever launched once at a time."""

    def __init__(self, contested: Job, alone: Job, topics: Topics, drivers: Drivers) -> None:
        self.contested, self.alone, self.topics, self.drivers = contested, alone, topics, drivers
        self.topic = contested.settings["source.subscribe"]
        for each in (contested, alone):
            each.gate()
        alone.open_gate()

    def rounds(self, count: int) -> None:
        for number in range(count):
            self.topics.fill(self.topic, RECORDS, RECORDS)
            self.contest(number)
            ran = self.drivers.run(self.alone.path)
            assert ran.status == 0, ran.said
            self.compare(number)

    def contest(self, number: int) -> None:
        """The winner's batch stays in flight until the others have left."""
        (self.contested.folder / "open").unlink(missing_ok=True)
        five = self.drivers.at_once([self.contested.path] * LAUNCHES, "--available-now")
        wait_for(lambda: len(ended(five)) == LAUNCHES - 1, SECONDS, f"four launches of round {number} to leave")
        left = ended(five)
        self.contested.open_gate()
        (winner,) = [p.wait() for p in five if p not in left]
        assert [p.status for p in left] == [75] * (LAUNCHES - 1), [p.said for p in left]
        assert winner.status == 0, winner.said
        assert winner.summary["batches"] == 1
        for each in left:
            assert f"pid {winner.process.pid} on " in each.complaints[0], each.said

    def compare(self, number: int) -> None:
        """Register and files are those of the job that was launched alone, as many times."""
        assert shape(self.contested) == shape(self.alone)
        assert self.contested.register().epoch == self.contested.register().seq == number + 1
        mine, theirs = (dict(published(j.settings["sink.path"])) for j in (self.contested, self.alone))
        assert mine == theirs
        assert log_of(self.contested) == log_of(self.alone)


def shape(job: Job) -> tuple[object, ...]:
    """The register, but for who wrote it and when."""
    state = job.register()
    return state.generation, state.epoch, state.seq, state.topics, state.pending, state.step, state.schemas


def log_of(job: Job) -> list[tuple[str, list[str]]]:
    """The batch log: its entries' names, and the final names in each."""
    sink = open_filesystem(job.settings["sink.path"])
    entries = {s.name: decode_manifest(sink.read(f"_batches/0/{s.name}")) for s in sink.list("_batches/0")}
    return [(name, [f.final for f in manifest.files]) for name, manifest in sorted(entries.items())]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("lanes", "rounds"),
    [
        pytest.param({"zookeeper": 1}, {"zookeeper": 2}, id="2"),
        pytest.param(
            {"zookeeper": 5, "hdfs": 5, "file": 5},
            {"zookeeper": 14, "hdfs": 13, "file": 13},
            id="200",
            marks=pytest.mark.full,
        ),
    ],
)
def test_one_of_five_works(
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    topics: Topics,
    job: Callable[..., Job],
    drivers: Drivers,
    tmp_path: Path,
    lanes: dict[str, int],
    rounds: dict[str, int],
) -> None:
    """Whatever the store: exactly one works, four exit 75 and name it; register and files as of one launch alone."""

    def lane(kind: str, number: int) -> Lane:
        topic = topics.create()
        contested, alone = (
            job(
                topic,
                name=name,
                offsets__session__timeout__ms=SESSION_MS,
                **places(kind, name, tmp_path, zookeeper, hdfs),
            )
            for name in (f"{kind}-{number}", f"{kind}-{number}-alone")
        )
        return Lane(contested, alone, topics, drivers)

    made = {(kind, number): lane(kind, number) for kind in lanes for number in range(lanes[kind])}
    with ThreadPoolExecutor(len(made)) as pool:
        running = [pool.submit(each.rounds, rounds[kind]) for (kind, _), each in made.items()]
    for each in running:
        each.result()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_one_of_five_works_by_spark_submit(
    zookeeper: ZooKeeper, topics: Topics, job: Callable[..., Job], tmp_path: Path
) -> None:
    """The same with everything that a spark-submit is."""
    store = f"zookeeper://{zookeeper.hosts}/rounds/{tmp_path.name}"
    made = job(topic := topics.create(), offsets__store=store, offsets__session__timeout__ms="10000")
    made.gate()
    for number in range(1, SUBMITTED + 1):
        topics.fill(topic, RECORDS, RECORDS)
        (made.folder / "open").unlink(missing_ok=True)
        five = [made.submit("--available-now") for _ in range(LAUNCHES)]
        wait_for(
            lambda five=five: sum(p.running for p in five) == 1, SECONDS, f"four launches of round {number} to leave"
        )
        (winner,) = [p for p in five if p.running]
        made.open_gate()
        assert winner.wait() == 0, winner.output
        assert sorted(p.wait() for p in five) == [0, 75, 75, 75, 75], [p.output for p in five]
        state = made.register()
        assert (state.epoch, state.seq, state.pending, state.owner.run_id) == (
            number,
            number,
            None,
            winner.summary["runId"],
        )
        assert made.landed() == once(topic, {0: (0, RECORDS * number), 1: (0, RECORDS * number)})
