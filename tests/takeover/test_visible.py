"""What a reader of HDFS can see, at any moment, of a job whose launches die: invariants 2 and 4, all the time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hdfs import HdfsError, InsecureClient

from offsets.codec import decode_manifest
from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, Topics, once
from tests.takeover.drivers import At, Drivers
from tests.takeover.stores import places

PARTITIONS = 6  # so a batch has as many files, all in the root: one request lists them all as of one moment
RECORDS = 8  # a partition
BATCH = 2  # of them
POINTS = ("prepare.after", "publish.before", "publish.each", "publish.sent", "publish.after", "commit.sent", "gc.each")


@dataclass
class Look:
    """One listing of the published files, then one of the batch log."""

    files: dict[str, tuple[int, ...]]  # fileId, length, modification time
    logged: set[str]  # final names in the entries that were there just after


@dataclass
class Onlooker:
    """Lists and, now and then, moves a file away as a consumer does; with plain WebHDFS requests."""

    client: InsecureClient
    root: str
    seed: int
    looks: list[Look] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)  # name: at which look it was gone

    def __post_init__(self) -> None:
        self.random, self._entries = random.Random(self.seed), dict[str, set[str]]()

    def watch(self, over: threading.Event) -> None:
        while not over.wait(0.002):
            self.look()

    def look(self) -> None:
        files = {
            name: (found["fileId"], found["length"], found["modificationTime"])
            for name, found in self._list(self.root)
            if name[0] != "_"
        }
        for name, _ in self._list(f"{self.root}/_batches/0"):
            if name not in self._entries:
                self._entries[name] = self._names(f"{self.root}/_batches/0/{name}")
        if not self.looks or files != self.looks[-1].files:
            self.looks.append(Look(files, set().union(*self._entries.values())))
        if files and self.random.random() < 0.02:
            self._consume(self.random.choice(sorted(files)))

    def batches(self) -> list[set[str]]:
        """The final names of each batch, in their order."""
        return [self._entries[name] for name in sorted(self._entries)]

    def wrong(self) -> Iterator[str]:
        """What contradicts the invariants."""
        batches, seen = self.batches(), dict[str, tuple[int, ...]]()
        for number, look in enumerate(self.looks):
            for name, found in look.files.items():
                if name not in look.logged:
                    yield f"look {number}: {name} is visible and no batch has named it"
                if seen.setdefault(name, found) != found:
                    yield f"look {number}: {name} was {seen[name]} and is {found}"
                if self.moved.get(name, number + 1) <= number:
                    yield f"look {number}: {name} is back"
            gone = {name for name, at in self.moved.items() if at <= number}
            for n, (older, newer) in enumerate(pairwise(batches)):
                if (newer & (look.files.keys() | gone)) and (missing := older - look.files.keys() - gone):
                    yield f"look {number}: of batch {n + 1} is visible while batch {n} lacks {missing}"

    def partial(self) -> int:
        """How many looks saw some files of a batch, and others not."""
        batches = self.batches()
        return sum(any(b & look.files.keys() and b - look.files.keys() for b in batches) for look in self.looks)

    def _list(self, path: str) -> list[tuple[str, dict]]:
        try:
            return self.client.list(path, status=True)
        except HdfsError as e:
            if e.exception != "FileNotFoundException":
                raise
            return []

    def _names(self, path: str) -> set[str]:
        with self.client.read(path) as reader:
            return {f.final.rpartition("/")[2] for f in decode_manifest(reader.read()).files}

    def _consume(self, name: str) -> None:
        self.client.makedirs("/consumed")
        self.client.rename(f"{self.root}/{name}", f"/consumed/{self.random.getrandbits(64):x}-{name}")
        self.moved[name] = len(self.looks)


@contextmanager
def watching(onlooker: Onlooker) -> Iterator[None]:
    """A failure of the onlooker itself is one of the test."""
    over, failed = threading.Event(), list[BaseException]()

    def watch() -> None:
        try:
            onlooker.watch(over)
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert failed == []
    onlooker.look()


@pytest.mark.parametrize("deaths", [3, pytest.param(30, marks=pytest.mark.full)])
def test_a_reader_never_sees_the_impossible(
    zookeeper: ZooKeeper,
    hdfs: Hdfs,
    topics: Topics,
    job: Callable[..., Job],
    drivers: Drivers,
    tmp_path: Path,
    deaths: int,
) -> None:
    """Each visible file was named before, never changes or returns, and none is there before all of older batches."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    topic = topics.create(PARTITIONS)
    made = job(
        topic,
        source__maxOffsetsPerTrigger=str(PARTITIONS * BATCH),
        offsets__session__timeout__ms="4000",
        **{**places("hdfs", "job", tmp_path, zookeeper, hdfs), "offsets__store": f"file://{tmp_path}/offsets"},
    )
    root = "/" + made.settings["sink.path"].split("/", 3)[3]
    onlooker = Onlooker(InsecureClient(f"http://{hdfs.webhdfs}"), root, seed)
    with watching(onlooker):
        for death in range(1, deaths + 1):
            topics.fill(topic, *[RECORDS] * PARTITIONS)
            point, hit = chance.choice(POINTS), chance.randint(1, 3)
            killed = drivers.run(made.path, At(point, hit=hit))
            assert killed.status in (-9, 0), f"seed {seed}, {point} {hit}: {killed.said}"
            print(f"death {death} at {point} {hit}: {killed.status}")
        ended = drivers.run(made.path)
    assert ended.status == 0, f"seed {seed}: {ended.said}"
    assert list(onlooker.wrong())[:3] == [], f"seed {seed}"
    print(
        f"{len(onlooker.looks)} looks, {onlooker.partial()} at a batch in part; {len(onlooker.moved)} files moved away"
    )
    assert len(onlooker.looks) > 2 * deaths
    visible = once(topic, {p: (0, deaths * RECORDS) for p in range(PARTITIONS)})
    assert made.landed() <= visible
    assert set().union(*onlooker.batches()) == onlooker.looks[-1].files.keys() | onlooker.moved.keys()
