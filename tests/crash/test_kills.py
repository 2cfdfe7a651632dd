"""SIGKILL for driver, JVM and workers through real spark-submit: nothing is lost, doubled, short or changing."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Protocol

import pytest
from demonstration.counter import count, published
from demonstration.job import write_job
from demonstration.launches import Launch, end_all, in_flight, kill, register

import streaming.formats
from offsets.filesystems import Filesystem, open_filesystem
from offsets.stores import open_store
from offsets.stores.base import OffsetStore
from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.zookeeper_server import ZooKeeper
from streaming.commands.verify_output import main as verify

from .reader import Lake, Reader

VICTIMS = ("driver", "jvm", "worker")
SECONDS = 120.0
LAYOUTS = {
    "plain": {},
    "time": {"path.format": "dt=%Y-%m-%d/hr=%H"},
    "fields": {
        "path.format": "{topic}/branch={branch}/dt=%Y-%m-%d",
        "timestamp.extractor": "RecordField",
        "timestamp.field": "when",
        "timezone": "Europe/Zurich",
    },
}
# What of them shows in a file's name; `hr=` only where the time is Kafka's, and so the same for all.
FOLDER = {
    "plain": r"[^/]+",
    "time": r"dt=\d{4}-\d\d-\d\d/hr=\d\d/[^/]+",
    "fields": r"[^/]+/(branch=\d|p=\d)/dt=\d{4}-\d\d-\d\d/[^/]+",
}
EXTENSION = {"text": "txt.zst", "json": "json.gz", "csv": "csv", "parquet": "parquet", "avro": "avro"}
FORMATS = {
    "text": {"compression": "zstd"},
    "json": {"compression": "gzip"},
    "csv": {},
    "parquet": {"compression": "zstd"},
    "avro": {},
}
# Every two values of two columns meet in a row at least once; test_every_pair_meets holds the table to that.
PAIRS = (
    ("zookeeper", "local", "text", "plain"),
    ("hdfs", "local", "text", "time"),
    ("file", "hdfs", "text", "fields"),
    ("hdfs", "local", "json", "plain"),
    ("file", "hdfs", "json", "time"),
    ("zookeeper", "hdfs", "json", "fields"),
    ("file", "hdfs", "csv", "plain"),
    ("zookeeper", "hdfs", "csv", "time"),
    ("hdfs", "local", "csv", "fields"),
    ("zookeeper", "local", "parquet", "plain"),
    ("hdfs", "hdfs", "parquet", "time"),
    ("file", "local", "parquet", "fields"),
    ("hdfs", "hdfs", "avro", "plain"),
    ("file", "hdfs", "avro", "time"),
    ("zookeeper", "local", "avro", "fields"),
)


def settings(format_: str, layout: str) -> list[str]:
    """What the command line of a launch adds to the job file."""
    given = {"format": format_, **FORMATS[format_], **LAYOUTS[layout]}
    function = "line" if format_ == "text" else "row"
    # A line of text has no field to lay it out by; its topic and time have to do.
    if format_ == "text" and layout == "fields":
        given |= {"path.format": "{topic}/p={partition}/dt=%Y-%m-%d", "timestamp.extractor": "Record"}
        del given["timestamp.field"]
    options = [f"sink.{key}={value}" for key, value in given.items()]
    options += [f"job.function=landing:{function}", "job.badRecords=quarantine"]
    return [word for option in options for word in ("--set", option)]


@dataclass
class Hunt:
    """Kills launches of one job until `wanted` kills have been made; remembers how many hit a batch in flight."""

    job: Path
    store: OffsetStore
    sink: Filesystem
    seed: int
    options: Sequence[str] = ()
    launches: list[Launch] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    in_flight: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def launch(self) -> Launch:
        log = self.job.with_suffix(f".{len(self.launches)}.log")
        self.launches.append(Launch(self.job, log, "--available-now", *self.options))
        return self.launches[-1]

    def run(self, wanted: int) -> None:
        """Each launch is killed once at most by driver or JVM; workers are killed in passing, and retried by Spark."""
        while len(self.killed) < wanted:
            victim = VICTIMS[len(self.killed) % len(VICTIMS)]
            launch = self.launches[-1] if self.launches and self.launches[-1].running else self.launch()
            if kill(launch, victim, self.moment()) is None:
                assert launch.wait(SECONDS) == 0, launch.output
                return  # the topic is read: the caller says whether the kills were enough
            hit = self.staged() if victim == "worker" else False
            if victim != "worker":
                launch.wait_gone(15)
                hit = self.staged()
            self.in_flight += hit
            self.killed.append(f"{victim}{'' if hit else ' (idle)'}")

    def moment(self) -> Callable[[], bool]:
        """True at a moment somewhere between the first staged byte and the commit of a batch."""
        delay, since = self.random.choice((0.0, 0.05, 0.3)), list[float]()

        def now() -> bool:
            if self.random.random() < 0.5 and self.pending():
                return True
            if not self.staged():
                since.clear()
                return False
            since.append(time.monotonic())
            return since[-1] - since[0] >= delay

        return now

    def pending(self) -> bool:
        state = register(self.store)
        return state is not None and state.pending is not None

    def staged(self) -> bool:
        """Whether something of the batch that comes next, or is pending, lies in staging now."""
        return in_flight(self.store, self.sink) is not None


class MakeHunt(Protocol):
    def __call__(self, records: int, batch: int, options: Sequence[str] = ()) -> tuple[Hunt, Path]: ...


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path / 'offsets'}"
    if request.param == "hdfs":
        hdfs: Hdfs = request.getfixturevalue("hdfs")
        return f"webhdfs://{hdfs.webhdfs}/offsets/{tmp_path.name}"
    zookeeper: ZooKeeper = request.getfixturevalue("zookeeper")
    return f"zookeeper://{zookeeper.hosts}/{tmp_path.name}"


@pytest.fixture
def sink_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return f"file://{tmp_path / 'lake'}"
    hdfs: Hdfs = request.getfixturevalue("hdfs")
    return f"webhdfs://{hdfs.webhdfs}/lake/{tmp_path.name}"


@pytest.fixture
def hunt(
    kafka: Kafka, store_url: str, sink_url: str, tmp_path: Path, produced: Callable[[int], tuple[str, Path]]
) -> Iterator[MakeHunt]:
    """`hunt(records, batch, options)`: a job over a new topic, and the producer's log."""
    hunts: list[Hunt] = []

    def make(records: int, batch: int, options: Sequence[str] = ()) -> tuple[Hunt, Path]:
        topic, log = produced(records)
        shutil.copy(Path(__file__).with_name("landing.py"), tmp_path)
        job = write_job(
            tmp_path / "kills.cfg",
            topic=topic,
            bootstrap=kafka.bootstrap,
            store=store_url,
            sink=sink_url,
            batch=batch,
            master="local[2,4]",
            more={"spark.ui.enabled": "false"},
        )
        hunts.append(Hunt(job, open_store(store_url, 4.0, 10.0), open_filesystem(sink_url), records + batch, options))
        return hunts[-1], log

    yield make
    for each in hunts:
        end_all(each.launches)
        each.store.close()


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("store_url", "sink_url", "format_", "layout"), PAIRS, indirect=["store_url", "sink_url"])
def test_kills_in_every_pair(hunt: MakeHunt, sink_url: str, format_: str, layout: str) -> None:
    """Whatever store, sink, format and layout: exact to the record, bad ones in quarantine, and verify agrees.

    A driver, a JVM and a worker die; at which steps a driver does is for the tuples.
    """
    prey, log = hunt(36_000, 6_000, settings(format_, layout))
    hunt_down(prey, log, sink_url, len(VICTIMS))
    names = [name for name, _ in Lake(sink_url).list()]
    assert [n for n in names if not re.fullmatch(rf"{FOLDER[layout]}\.{EXTENSION[format_]}", n)] == []
    assert verify("", [str(prey.job), *prey.options]) == 0


def hunt_down(prey: Hunt, log: Path, sink_url: str, kills: int) -> None:
    """`kills` kills under the eyes of a reader, then launches until the topic is read; counts."""
    reader = Reader(Lake(sink_url), prey.seed)
    reader.start()
    prey.run(kills)
    last = prey.launches[-1]
    if not last.running:
        last = prey.launch()
    assert last.wait(SECONDS) == 0, last.output
    files = reader.finish()
    total = count(published(sink_url), log)
    print(f"kills: {', '.join(prey.killed)}; in flight {prey.in_flight}; {files} files, {reader.looks} looks; {total}")
    assert len(prey.killed) == kills
    assert prey.in_flight > kills / 2
    assert total.exact
    assert total.unparsable > 0
    assert reader.looks > 5
    assert reader.wrong == []
    with closing(open_store(prey.store.url, 4.0, 10.0)) as store:
        state = register(store)
    assert state is not None
    assert state.pending is None


def test_every_pair_meets() -> None:
    """The rows above are a covering array: any two values of two columns stand in one row."""
    values = [("zookeeper", "hdfs", "file"), ("local", "hdfs"), tuple(FORMATS), tuple(LAYOUTS)]
    for (i, first), (j, second) in combinations(enumerate(values), 2):
        assert {(row[i], row[j]) for row in PAIRS} == set(product(first, second))
    assert [set(column) for column in zip(*PAIRS, strict=True)] == [set(v) for v in values]
    assert set(FORMATS) == set(streaming.formats.FORMATS)
