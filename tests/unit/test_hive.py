"""What Hive is told of a batch, and that it can neither fail, delay nor lose one."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offsets import codec
from offsets.filesystems import LocalFilesystem
from offsets.structs import Manifest, OffsetRange, StagedFile, TopicState
from streaming.hive.marks import MARKS, Marks
from streaming.hive.registrar import HiveRegistrar
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
        ("t/k=%FF", Partition("t", "t/k=%FF", (("k", "%FF"),))),
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
        "PARTITIONED BY (`country` STRING, `dt` STRING) STORED AS PARQUET LOCATION 'hdfs://nn/lake/My%20Orders' "
        "TBLPROPERTIES ('kafka-direct-streaming.location'='hdfs://nn/lake/My%20Orders')"
    )
    assert add_partitions(PLACE, [odd]) == (
        "ALTER TABLE `lake`.`my_orders` ADD IF NOT EXISTS PARTITION (`country`='O\\'Neill\\\\', `dt`='1') "
        "LOCATION 'hdfs://nn/lake/My%20Orders/country=O%27Neill%5C/dt=1'"
    )
    assert "LOCATION 'hdfs://nn/lake' " in create_table(PLACE, partition_of(""), COLUMNS)
    assert "`lake`.`orders`" in create_table(PLACE, partition_of(""), COLUMNS)


class Metastore:
    """Remembers statements and whose tables are; refuses the first `refusals`, and all that hold `never`; may hang."""

    def __init__(self, refusals: int = 0, never: str = "\0") -> None:
        self.statements: list[str] = []
        self.locations: dict[str, str] = {}
        self.refusals, self.never, self.hang = refusals, never, threading.Event()
        self.hang.set()

    def run(self, statement: str) -> list[tuple[str, str]]:
        self.hang.wait()
        if self.refusals or self.never in statement:
            self.refusals = max(0, self.refusals - 1)
            raise ConnectionError("no metastore")
        self.statements.append(statement)
        if found := re.match(r"CREATE.* EXISTS (\S+) .*LOCATION '(\S+)' ", statement):
            self.locations.setdefault(found[1], found[2])
        asked = re.match(r"SHOW TBLPROPERTIES (\S+)", statement)
        return [("key", self.locations[asked[1]])] if asked else []

    def added(self) -> list[str]:
        """The folders of all partitions that were added."""
        return [
            f
            for s in self.statements
            if s.startswith("ALTER")
            for f in re.findall(r"LOCATION 'hdfs://nn/lake/(\S+)'", s)
        ]


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
    assert metastore.added() == ["t/dt=1", "t/dt=2"]
    assert [s.split()[0] for s in metastore.statements if "ALTER" not in s] == ["CREATE", "SHOW"]
    assert Marks(lake).read() == 4


def test_refusals_are_tried_again(lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar]) -> None:
    """Whatever the metastore raises, each partition is registered in the end, in order."""
    metastore = Metastore(refusals=5)
    with running(registrar(metastore)) as hive_:
        hive_.committed(manifest(0, "t/dt=1"))
        hive_.committed(manifest(1, "t/dt=2"))
    assert sorted(metastore.added()) == ["t/dt=1", "t/dt=2"]


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
    assert metastore.added() == ["t/dt=2", "t/dt=3"]
    assert [s.name for s in lake.list(MARKS)] == ["0000000004"]


def test_a_newest_batch_without_an_entry_is_not_waited_for(
    lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar]
) -> None:
    """As weaker guarantees leave it behind: the mark goes past it, or each launch would start Spark for nothing."""
    logged(lake, manifest(0, "t/dt=0"), manifest(1, "t/dt=1"))
    with running(registrar(Metastore(), until=3)):
        pass
    assert Marks(lake).read() == 3


@pytest.mark.parametrize(
    ("refused", "folders", "told"),
    [
        ("`x`", ["x/=1", "t/dt=1"], ["t/dt=1"]),  # a column without a name
        ("hr", ["t/dt=1/hr=2", "t/dt=1", "u/dt=1"], ["t/dt=1", "u/dt=1"]),  # other partition columns
    ],
)
def test_one_refused_folder_keeps_no_other(
    lake: LocalFilesystem,
    registrar: Callable[..., HiveRegistrar],
    caplog: pytest.LogCaptureFixture,
    refused: str,
    folders: list[str],
    told: list[str],
) -> None:
    """What Hive never takes is logged and left, and the mark stays before it: the next run tries again."""
    metastore = Metastore(never=refused)
    made = registrar(metastore)
    made.committed(manifest(0, *folders))
    made.committed(manifest(1, "v/dt=1"))
    made.close(3)
    assert sorted(metastore.added()) == sorted([*told, "v/dt=1"])
    assert Marks(lake).read() == 0
    assert "the next run goes on with them" in caplog.text


def test_names_that_hive_cannot_tell_apart(
    lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar], caplog: pytest.LogCaptureFixture
) -> None:
    """The second folder with a table's name is refused: its partitions would be that table's."""
    metastore = Metastore()
    made = registrar(metastore)
    made.committed(manifest(0, "a-b/dt=1", "A_b/dt=2"))
    made.close(3)
    (folder,) = metastore.added()
    assert folder.split("/")[0] in ("a-b", "A_b")
    assert "`lake`.`a_b` is not the table of hdfs://nn/lake/" in caplog.text


def test_the_mark_moves_while_batches_keep_coming(
    lake: LocalFilesystem, registrar: Callable[..., HiveRegistrar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that add nothing, faster than the thread looks, do not keep it from writing how far it came."""
    monkeypatch.setattr("streaming.hive.registrar.MARK_SECONDS", 0.0)
    with running(registrar(Metastore())) as hive_:
        until, seq = time.monotonic() + 10, 0
        while Marks(lake).read() < 2 and time.monotonic() < until:
            hive_.committed(manifest(seq, "t/dt=1"))
            seq += 1
            time.sleep(0.02)  # the pace of the batches
        assert Marks(lake).read() >= 2
