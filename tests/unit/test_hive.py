"""What Hive is told of a batch, and that it can neither fail, delay nor lose one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offsets import codec
from offsets.filesystems import LocalFilesystem
from offsets.structs import Manifest, OffsetRange, StagedFile, TopicState
from streaming.hive.registrar import MARKS, HiveRegistrar, Marks
from streaming.hive.tables import Partition, Place, add_partitions, create_table, partition_of, partitions_of
from streaming.sinks.names import batch_entry, encoded_folder

PLACE = Place("lake", "hdfs://nn/lake", "orders", "PARQUET")
COLUMNS = (("id", "bigint"), ("Country", "string"), ("a`b", "double"))


def manifest(seq: int, *folders: str) -> Manifest:
    files = tuple(
        StagedFile(f"s/{seq}/{i}", f"{folder}/{seq}".lstrip("/"), 1, 0, 1) for i, folder in enumerate(folders)
    )
    ranges = (OffsetRange("t", 0, seq, seq + 1),)
    return Manifest("app", 0, 1, seq, ranges, {"t": TopicState("id", {0: seq + 1})}, files, 1, 0)


@pytest.mark.parametrize(
    ("folder", "partition"),
    [
        ("", Partition("", "", ())),
        ("orders", Partition("orders", "orders", ())),
        ("a/b/dt=1/hr=2", Partition("a/b", "a/b/dt=1/hr=2", (("dt", "1"), ("hr", "2")))),
        ("dt=1", Partition("", "dt=1", (("dt", "1"),))),
        ("t/Dt=x%20y%2Fz=1/rest", Partition("t", "t/Dt=x%20y%2Fz=1", (("dt", "x y/z=1"),))),
    ],
)
def test_table_and_partition_of_a_folder(folder: str, partition: Partition) -> None:
    """The table is what comes before the first pair; values are decoded; folders behind the last pair belong to it."""
    assert partition_of(folder) == partition


def test_partitions_of_a_batch() -> None:
    """Each once, quarantine and other hidden folders never."""
    found = partitions_of(manifest(1, "t/dt=2", "t/dt=1", "t/dt=2", "_quarantine/t"))
    assert [p.folder for p in found] == ["t/dt=1", "t/dt=2"]


def test_statements() -> None:
    """Names and values are quoted, and a column that the path carries stands only there."""
    odd = partition_of(encoded_folder("My Orders/country=O'Neill\\/dt=1"))
    assert create_table(PLACE, odd, COLUMNS) == (
        "CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`my_orders` (`id` bigint, `a``b` double) "
        "PARTITIONED BY (`country` STRING, `dt` STRING) STORED AS PARQUET LOCATION 'hdfs://nn/lake/My%20Orders'"
    )
    assert add_partitions(PLACE, [odd]) == (
        "ALTER TABLE `lake`.`my_orders` ADD IF NOT EXISTS PARTITION (`country`='O\\'Neill\\\\', `dt`='1') "
        "LOCATION 'hdfs://nn/lake/My%20Orders/country=O%27Neill%5C/dt=1'"
    )
    assert create_table(PLACE, partition_of(""), COLUMNS).endswith("LOCATION 'hdfs://nn/lake'")
    assert "`lake`.`orders`" in create_table(PLACE, partition_of(""), COLUMNS)


class Metastore:
    """Remembers statements; refuses the first `refusals`; may hang."""

    def __init__(self, refusals: int = 0) -> None:
        self.statements: list[str] = []
        self.refusals, self.hang = refusals, threading.Event()
        self.hang.set()

    def run(self, statement: str) -> None:
        self.hang.wait()
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("no metastore")
        self.statements.append(statement)

    def added(self) -> list[str]:
        return [s for s in self.statements if s.startswith("ALTER")]


@pytest.fixture
def lake(tmp_path: Path) -> LocalFilesystem:
    return LocalFilesystem(str(tmp_path))


@pytest.fixture
def registrar(lake: LocalFilesystem, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HiveRegistrar]]:
    monkeypatch.setattr("streaming.hive.registrar.FIRST_PAUSE", 0.01)
    made: list[Metastore] = []

    def make(metastore: Metastore, until: int = 0) -> HiveRegistrar:
        made.append(metastore)
        return HiveRegistrar(metastore, PLACE, lambda table, manifest: COLUMNS, Marks(lake), until)

    yield make
    for each in made:
        each.hang.set()


@contextmanager
def running(registrar: HiveRegistrar) -> Iterator[HiveRegistrar]:
    yield registrar
    registrar.close(20)


def logged(lake: LocalFilesystem, *manifests: Manifest) -> None:
    for m in manifests:
        writer = lake.create(batch_entry(m.generation, m.seq))
        writer.write(codec.encode_manifest(m))
        writer.close()


def test_each_partition_once(lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar]) -> None:
    """Batches that add nothing new cost no statement; the mark says how far it came."""
    metastore = Metastore()
    with running(registrar(metastore)) as hive_:
        for seq, day in enumerate("1122"):
            hive_.committed(manifest(seq, f"t/dt={day}"))
    assert len(metastore.statements) == 3
    assert Marks(lake).read() == 4


def test_refusals_are_tried_again(lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar]) -> None:
    """Whatever the metastore raises, each partition is registered in the end, in order."""
    metastore = Metastore(refusals=5)
    with running(registrar(metastore)) as hive_:
        hive_.committed(manifest(0, "t/dt=1"))
        hive_.committed(manifest(1, "t/dt=2"))
    assert [s[-6:] for s in metastore.added()] == ["/dt=1'", "/dt=2'"]


def test_a_hanging_metastore_keeps_nobody(lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar]) -> None:
    """A run ends in time; what was left is registered by the next, from the batch log."""
    hanging, batches = Metastore(), [manifest(seq, f"t/dt={seq}") for seq in range(3)]
    hanging.hang.clear()
    logged(lake, *batches)
    first = registrar(hanging)
    for each in batches:
        first.committed(each)
    first.close(0.2)
    assert Marks(lake).read() == 0
    metastore = Metastore()
    with running(registrar(metastore, until=3)):
        pass
    assert len(metastore.added()) == 3
    assert Marks(lake).read() == 3


def test_only_what_the_mark_leaves_is_read_again(
    lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar]
) -> None:
    """Batches below the mark are done; those at `until` and above are another run's."""
    logged(lake, *(manifest(seq, f"t/dt={seq}") for seq in range(5)))
    Marks(lake).write(2)
    metastore = Metastore()
    with running(registrar(metastore, until=4)):
        pass
    assert [s[-6:] for s in metastore.added()] == ["/dt=2'", "/dt=3'"]
    assert [s.name for s in lake.list(MARKS)] == ["0000000004"]
