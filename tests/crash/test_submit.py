"""The failpoints that matter most, through real spark-submit: killed or frozen right there, and the count stays exact.

One topic a test, and a chain of launches each of which meets other faults, so that a start of Spark serves for several.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from demonstration.counter import count, published
from demonstration.job import write_job
from demonstration.launches import Launch, end_all, register

from offsets.stores import open_store
from offsets.structs import State
from servers.daemon import wait_for
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.zookeeper_server import ZooKeeper

from . import faulty
from .faulty import Fault

SECONDS = 300.0
RECORDS, BATCH = 8_000, 1_000
# Each kills one task's worker once; Spark runs the task again, in this launch.
WORKERS = (Fault("fetch.mid"), Fault("task.mid"), Fault("task.close"), Fault("task.return"))


class Death(NamedTuple):
    """Where a launch's driver dies, and what the register must hold then."""

    fault: Fault
    pending: bool


# In this order each launch finds what the one before it has left: `redo.manifest` needs a batch that is pending.
DEATHS = (
    Death(Fault("manifest.after"), pending=False),
    Death(Fault("prepare.sent"), pending=True),
    Death(Fault("redo.manifest"), pending=True),
    Death(Fault("take.sent"), pending=True),
    Death(Fault("publish.each", nth=2), pending=True),
    Death(Fault("publish.after"), pending=True),
    Death(Fault("prepare.after"), pending=True),
    Death(Fault("commit.sent"), pending=False),
)
BY = {death.fault.name: death for death in DEATHS}
FEW = ("prepare.sent", "publish.each")
CHAINS = {
    ("zookeeper", "hdfs"): tuple(BY),
    ("file", "local"): ("prepare.after", "take.sent", "publish.each", "publish.after"),
    ("hdfs", "hdfs"): ("manifest.after", "prepare.sent", "redo.manifest", "commit.sent"),
}


class Crashes:
    """One job, its launches, and what landed of its topic."""

    def __init__(self, job: Path, log: Path, store: str, sink: str) -> None:
        self.job, self.log, self.store, self.sink = job, log, store, sink
        self.launches: list[Launch] = []

    def launch(self, faults: Sequence[Fault] = ()) -> Launch:
        """A launch that meets these faults."""
        faulty.plan(self.job.parent, faults)
        log = self.job.with_suffix(f".{len(self.launches)}.log")
        self.launches.append(Launch(self.job, log, "--available-now"))
        return self.launches[-1]

    def die(self, death: Death, others: Sequence[Fault] = ()) -> None:
        """A launch whose driver dies there, after its workers met the `others`; nothing is doubled so far."""
        launch = self.launch([death.fault, *others])
        assert launch.wait(SECONDS) != 0, launch.output
        launch.wait_gone(SECONDS)
        assert faulty.hits(self.job.parent) == sorted(f.name for f in (death.fault, *others)), launch.output
        assert (self.register().pending is not None) == death.pending, death
        so_far = count(published(self.sink), self.log)
        assert (so_far.duplicated, so_far.foreign, so_far.misjudged) == (0, 0, 0), death

    def die_in_turn(self, points: Sequence[str]) -> None:
        """Launches that die there; the workers of the first one die too."""
        for number, point in enumerate(points):
            self.die(BY[point], WORKERS if number == 0 else ())

    def finish(self) -> None:
        """A clean launch to the end of the topic; everything is there once."""
        launch = self.launch()
        assert launch.wait(SECONDS) == 0, launch.output
        total = count(published(self.sink), self.log)
        assert (total.produced, total.exact) == (RECORDS, True), total
        assert self.register().pending is None

    def register(self) -> State:
        with closing(open_store(self.store, 4.0, 10.0)) as store:
            state = register(store)
        assert state is not None
        return state


@pytest.fixture
def crashes(
    request: pytest.FixtureRequest, kafka: Kafka, produced: Callable[[int], tuple[str, Path]], tmp_path: Path
) -> Iterator[Crashes]:
    """Parametrized by the kinds of store and sink."""
    store, sink = (_place(request, kind, what) for kind, what in zip(request.param, ("offsets", "lake"), strict=True))
    topic, log = produced(RECORDS)
    faulty.install(tmp_path)
    job = write_job(
        tmp_path / "crashes.cfg",
        topic=topic,
        bootstrap=kafka.bootstrap,
        store=store,
        sink=sink,
        batch=BATCH,
        master=f"local[2,{1 + len(WORKERS)}]",  # one task may meet all of them
        more={"spark.ui.enabled": "false"},
    )
    job.write_text(job.read_text().replace("streaming.jobs.transactions:parse", "faulty:parse"))
    made = Crashes(job, log, store, sink)
    yield made
    end_all(made.launches)


def _place(request: pytest.FixtureRequest, kind: str, what: str) -> str:
    folder: Path = request.getfixturevalue("tmp_path")
    if kind == "hdfs":
        hdfs: Hdfs = request.getfixturevalue("hdfs")
        return f"webhdfs://{hdfs.webhdfs}/{what}/{folder.name}"
    if kind == "zookeeper":
        zookeeper: ZooKeeper = request.getfixturevalue("zookeeper")
        return f"zookeeper://{zookeeper.hosts}/{folder.name}"
    return f"file://{folder / what}"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("crashes", [("file", "local")], indirect=True)
def test_workers_and_drivers_die_in_two_launches(crashes: Crashes) -> None:
    """Four workers, and the driver right after PREPARE and among its renames: the third launch has everything once."""
    crashes.die_in_turn(FEW)
    crashes.finish()


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("crashes", "points"),
    [pytest.param(*chain, id="-".join(chain[0])) for chain in CHAINS.items()],
    indirect=["crashes"],
)
def test_the_driver_dies_at_every_step(crashes: Crashes, points: Sequence[str]) -> None:
    """Launches one after the other, each killed at another step: the one behind them has everything once."""
    crashes.die_in_turn(points)
    crashes.finish()


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("crashes", [("zookeeper", "hdfs"), ("hdfs", "local")], ids="-".join, indirect=True)
def test_a_frozen_driver_wakes_and_changes_nothing(crashes: Crashes) -> None:
    """Stopped among its renames for longer than its lock lives, and woken when another has done everything."""
    sleeper, driver = freeze(crashes)
    crashes.finish()
    before = crashes.register(), dict(published(crashes.sink))
    driver.send_signal(signal.SIGCONT)
    assert sleeper.wait(SECONDS) == 75, sleeper.output
    assert (crashes.register(), dict(published(crashes.sink))) == before


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("crashes", [("zookeeper", "hdfs")], ids="-".join, indirect=True)
def test_a_frozen_driver_wakes_beside_the_one_that_took_over(crashes: Crashes) -> None:
    """Woken while the other is at work: both move the files of one batch, and everything is there once."""
    sleeper, driver = freeze(crashes)
    epoch = crashes.register().epoch
    other = crashes.launch()
    wait_for(lambda: crashes.register().epoch > epoch, SECONDS, "a second launch that has taken over")
    driver.send_signal(signal.SIGCONT)
    assert sleeper.wait(SECONDS) == 75, sleeper.output
    assert other.wait(SECONDS) == 0, other.output
    crashes.finish()


def freeze(crashes: Crashes) -> tuple[Launch, psutil.Process]:
    """A launch whose driver has stopped itself at its second rename, with that batch pending."""
    launch = crashes.launch([Fault("publish.each", nth=2, signal="SIGSTOP")])
    wait_for(lambda: faulty.hits(crashes.job.parent) != [] or not launch.running, SECONDS, "a driver that stops itself")
    driver = launch.find("driver")
    assert driver is not None, launch.output
    wait_for(lambda: driver.status() == psutil.STATUS_STOPPED, SECONDS, "it to have stopped")
    assert crashes.register().pending is not None
    return launch, driver
