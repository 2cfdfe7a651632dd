"""reset_offsets.py on a real broker: its plans are those of Kafka's own tool, and a dry run leaves no trace."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from offsets.codec import decode_state
from offsets.manager import OffsetManager, current_owner
from offsets.stores import open_store
from offsets.structs import OffsetRange, State, TopicState
from servers.kafka_server import Kafka
from streaming.commands.reset_offsets import main
from streaming.resetting.times import told
from streaming.source.broker import Broker
from tests.integration.jobs import SECONDS, Topics
from tests.takeover.stores import KINDS, mostly, places

TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
HALF_HOUR_MS = 30 * 60_000
COMMITTED = {0: 12, 1: 4, 2: 0, 3: 9}
JOB = """
[job]
name = {name}
[source]
subscribe = {topics}
startingOffsets = earliest
[kafka]
bootstrap.servers = {bootstrap}
[offsets]
store = file://{folder}/store
[sink]
path = file://{folder}/lake
"""


@dataclass
class Place:
    """A register, in a folder of its own unless `url` says where; `topics` are made as they are needed."""

    folder: Path
    kafka: Kafka
    topics: Topics
    url: str = ""

    @property
    def store(self) -> str:
        return self.url or f"file://{self.folder}/store"

    def commit(self, **offsets: Mapping[int, int]) -> None:
        """Writes the register, at what Kafka has of the topics now."""
        with closing(Broker({"bootstrap.servers": self.kafka.bootstrap}, SECONDS)) as broker:
            seen = broker.snapshot(list(offsets))
        topics = {name: TopicState(seen[name].id, of, seen[name].epochs) for name, of in offsets.items()}
        with closing(open_store(self.store)) as store:
            manager = OffsetManager(store, current_owner("test"))
            manager.read()
            manager.create(uuid.uuid4().hex, topics)
            manager.take()

    @property
    def state(self) -> State:
        with closing(open_store(self.store)) as store:
            found = store.load()
        assert found
        return decode_state(found.state)

    @property
    def by_store(self) -> list[str]:
        return ["--store", self.store, "--bootstrap-server", self.kafka.bootstrap]

    def job(self, *topics: str) -> str:
        path = self.folder / "job.cfg"
        names = {"name": self.folder.name, "topics": ",".join(topics), "folder": self.folder}
        path.write_text(JOB.format(**names, bootstrap=self.kafka.bootstrap))
        return str(path)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(kafka: Kafka, tmp_path: Path) -> Place:
    return Place(tmp_path, kafka, Topics(kafka))


def plan(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    """What the script says in JSON; it must succeed."""
    status = main("", [*argv, "--format", "json"])
    said = capsys.readouterr()
    assert status == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def new(planned: Mapping[str, Any]) -> dict[int, int]:
    return {row["partition"]: row["newOffset"] for row in planned["partitions"]}


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    status = main("", argv)
    return status, capsys.readouterr().err


# ---- agreement with kafka-consumer-groups


@dataclass
class Filled:
    """A topic, a consumer group and a register that stand at the same offsets of it; `began`: of the first record."""

    topic: str
    place: Place
    began: int


@pytest.fixture(scope="module")
def filled(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Half-hourly records in 0, whose first five are deleted; transactions, one aborted, in 1; nothing in 2."""
    place = Place(tmp_path_factory.mktemp("agreement"), kafka, Topics(kafka))
    topic = place.topics.create(4)
    began = time.time_ns() // 1_000_000 - 10 * 3_600_000 + 60_000
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for n in range(20):
        producer.produce(topic, b"x", partition=0, timestamp=began + n * HALF_HOUR_MS)
        producer.produce(topic, b"x", partition=3, timestamp=began + n // 2 * HALF_HOUR_MS)
    assert producer.flush(60) == 0
    place.topics.truncate(topic, 0, before=5)
    transactions = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    transactions.init_transactions(60)
    for n in range(3):
        transactions.begin_transaction()
        for m in range(4):
            transactions.produce(topic, b"x", partition=1, timestamp=began + (4 * n + m) * HALF_HOUR_MS)
        assert transactions.flush(60) == 0
        transactions.abort_transaction(60) if n == 1 else transactions.commit_transaction(60)
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})) as group:
        group.commit(offsets=[TopicPartition(topic, p, o) for p, o in COMMITTED.items()], asynchronous=False)
    place.commit(**{topic: COMMITTED})
    return Filled(topic, place, began)


def of_kafkas_tool(filled: Filled, *argv: str) -> dict[int, int]:
    """NEW-OFFSET by partition, of a dry run."""
    kafka = filled.place.kafka
    where = ["--bootstrap-server", kafka.bootstrap, "--group", filled.topic, "--reset-offsets", "--dry-run"]
    done = subprocess.run(kafka.java(TOOL, *where, *argv, heap="128m"), capture_output=True, text=True, timeout=SECONDS)
    rows = [line.split() for line in done.stdout.splitlines()]
    found = {int(row[2]): int(row[3]) for row in rows if row[:2] == [filled.topic, filled.topic]}
    assert found, done.stdout + done.stderr
    return found


def full(*argv: str) -> Any:
    return pytest.param(argv, marks=pytest.mark.full)


@pytest.mark.parametrize(
    "argv",
    [
        ("--shift-by", "-8"),
        full("--shift-by", "7"),
        full("--to-earliest"),
        full("--to-latest"),
        full("--to-current"),
        full("--to-offset", "6"),
        full("--to-offset", "17"),
        full("--by-duration", "PT4H45M"),
        full("--by-duration", "P1D"),
        full("--by-duration", "PT1S"),
    ],
    ids=" ".join,
)
def test_a_plan_is_that_of_kafkas_tool(
    filled: Filled, argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """For every mode that both have; also what is before a log start or behind an end."""
    ours = new(plan(capsys, *filled.place.by_store, "--topic", filled.topic, *argv))
    assert ours == of_kafkas_tool(filled, "--topic", filled.topic, *argv)


@pytest.mark.parametrize("hours", [pytest.param(h, marks=pytest.mark.full) for h in (-1.0, 3.25, 99.0)] + [4.0])
def test_times_are_those_of_kafkas_tool(filled: Filled, hours: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, between, at and behind the records; without a zone both take it for UTC."""
    time_ = told(filled.began + round(hours * 3_600_000)).removesuffix("Z")
    scope = ("--topic", f"{filled.topic}:0,1,2,3", "--to-datetime", time_)
    assert new(plan(capsys, *filled.place.by_store, *scope)) == of_kafkas_tool(filled, *scope)


@pytest.mark.full
def test_files_are_those_of_kafkas_tool(filled: Filled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What ours exports Kafka's tool reads, and the other way round; both move what is outside into the log."""
    file = tmp_path / "plan.csv"
    where = [*filled.place.by_store, "--topic", filled.topic]
    ours = new(plan(capsys, *where, "--shift-by", "-8", "--export", str(file)))
    assert of_kafkas_tool(filled, "--from-file", str(file)) == ours
    file.write_text(f"{filled.topic},0,1\n{filled.topic},1,99\n")
    from_file = ("--from-file", str(file))
    assert new(plan(capsys, *filled.place.by_store, *from_file)) == of_kafkas_tool(filled, *from_file)
    kafka = filled.place.kafka
    scope = [
        "--group",
        filled.topic,
        "--topic",
        filled.topic,
        "--reset-offsets",
        "--to-earliest",
        "--dry-run",
        "--export",
    ]
    command = kafka.java(TOOL, "--bootstrap-server", kafka.bootstrap, *scope, heap="128m")
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    file.write_text("".join(line + "\n" for line in done.stdout.splitlines() if line.startswith(filled.topic)))
    assert new(plan(capsys, *filled.place.by_store, *from_file)) == new(plan(capsys, *where, "--to-earliest"))


def test_records_that_are_read_again_or_skipped(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    """Bounds by partition and in all; clamping is said; nothing was written, and nothing is left behind."""
    before = filled.place.files()
    planned = plan(capsys, *filled.place.by_store, "--all-topics", "--to-offset", "8")
    assert [(r["currentOffset"], r["newOffset"], r["readAgain"], r["skipped"]) for r in planned["partitions"]] == [
        (12, 8, 4, 0),
        (4, 8, 0, 4),
        (0, 0, 0, 0),
        (9, 8, 1, 0),
    ]
    assert (planned["readAgain"], planned["skipped"], planned["done"]) == (5, 4, None)
    assert [r["note"] for r in planned["partitions"] if r["note"]] == ["8 is behind the last stable offset 0"]
    assert filled.place.files() == before
    assert main("", [*filled.place.by_store, "--all-topics", "--to-offset", "8"]) == 0
    told_ = capsys.readouterr().out
    assert "read again:    5 records at most, of 2 partitions" in told_
    assert "--all-topics --to-offset 8 --execute" in told_
    assert filled.place.files() == before


# ---- every mode, executed


@pytest.fixture(params=mostly("file", (*KINDS, "sqlite", "postgresql")))
def kept(request: pytest.FixtureRequest, place: Place) -> Place:
    """With a register of every kind."""
    kind, folder = request.param, place.folder
    if kind == "sqlite":
        place.url = f"sqlite:///{folder}/register.db"
    elif kind == "postgresql":
        place.url = request.getfixturevalue("postgres").database(f"reset_{uuid.uuid4().hex[:8]}")
    elif kind != "file":
        servers = (request.getfixturevalue("zookeeper"), request.getfixturevalue("hdfs"))
        place.url = places(kind, "job", folder, *servers)["offsets__store"]
    return place


def test_what_is_shown_is_done(kept: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mode on every kind of store: the offsets of the dry run, in a generation of its own; who, what and why."""
    topic = kept.topics.create(3)
    kept.topics.fill(topic, 8, 8, 8)
    kept.topics.truncate(topic, 2, before=2)
    kept.commit(**{topic: {0: 4, 1: 4, 2: 4}})
    now = told(time.time_ns() // 1_000_000 + 3_600_000)
    file = kept.folder / "offsets.json"
    file.write_text(json.dumps({topic: {"0": 3, "2": -1}}))
    modes = {
        ("--to-earliest",): [0, 0, 2],
        ("--shift-by", "3"): [3, 3, 5],
        ("--to-latest",): [8, 8, 8],
        ("--to-offset", "1"): [1, 1, 2],
        ("--to-current",): [1, 1, 2],
        ("--to-datetime", now): [8, 8, 8],
        ("--by-duration", "P1D"): [0, 0, 2],
        ("--from-file", str(file)): [3, 0, 8],
    }
    for generation, (mode, offsets) in enumerate(modes.items(), 1):
        argv = [*kept.by_store, *mode, *(() if "--from-file" in mode else ("--topic", topic))]
        shown, before = plan(capsys, *argv), kept.state
        done = plan(capsys, *argv, "--execute", "--reason", "a test")
        assert done["partitions"] == shown["partitions"]
        state = kept.state
        assert list(state.topics[topic].offsets.values()) == offsets
        assert (state.generation, state.step, state.before) == (generation, "reset", before.topics)
        assert state.reason.endswith(f": {mode[0]}{' ' * (len(mode) > 1)}{' '.join(mode[1:])}; a test")


# ---- what is there and what is not


def test_names_that_are_mistyped(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake names what is nearest, the exit status is 2, and nothing is written."""
    topic = place.topics.create(2)
    place.commit(**{topic: {0: 0, 1: 0}})
    before = place.state
    typo = topic.replace("orders", "order")
    argv = [*place.by_store, "--topic", typo, "--topic", f"{topic}:1,7", "--to-latest", "--execute"]
    status, said = refused(capsys, *argv)
    assert status == 2
    assert f"topic {typo} is neither in the register nor read by the job; did you mean {topic}" in said
    assert f"{topic} has no partition 7: it has 0 to 1" in said
    status, said = refused(capsys, place.job(typo), "--topic", typo, "--to-latest")
    assert status == 2
    assert f"Kafka has no topic {typo}; did you mean {topic}" in said
    status, said = refused(capsys, *place.by_store, "--from-file", str(_csv(place, f"{topic},0,0\n{typo},0,1\n")))
    assert (status, f"line 2: topic {typo} is neither" in said) == (2, True)
    assert place.state == before


def _csv(place: Place, text: str) -> Path:
    path = place.folder / "offsets.csv"
    path.write_text(text)
    return path


def test_what_only_the_job_knows(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Partitions and topics that a job reads and the register has not are added; a store alone has the register's."""
    old, other = place.topics.create(1), place.topics.create(1)
    place.topics.fill(old, 5)
    place.commit(**{old: {0: 5}})
    place.topics.grow(old, 2)
    place.topics.fill(other, 3)
    job = place.job(old, other)
    planned = plan(capsys, job, "--all-topics", "--to-latest")
    rows = [(r["topic"], r["partition"], r["currentOffset"], r["newOffset"]) for r in planned["partitions"]]
    assert sorted(rows) == sorted([(old, 0, 5, 5), (old, 1, None, 0), (other, 0, None, 3)])
    assert new(plan(capsys, *place.by_store, "--all-topics", "--to-latest")) == {0: 5}


def test_an_open_transaction_bounds_what_can_be_read(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The end is the last stable offset, as a job's end is; behind it an offset is moved there, and that is said."""
    topic = place.topics.create(1)
    place.topics.fill(topic, 4)
    place.commit(**{topic: {0: 2}})
    producer = Producer({"bootstrap.servers": place.kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(topic, b"not yet", partition=0)
    assert producer.flush(60) == 0
    try:
        assert new(plan(capsys, *place.by_store, "--all-topics", "--to-latest")) == {0: 4}
        planned = plan(capsys, *place.by_store, "--all-topics", "--to-offset", "5")
        assert planned["partitions"][0]["note"] == "5 is behind the last stable offset 4"
    finally:
        producer.abort_transaction(60)


def test_the_way_on_after_losses(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expired, behind the end, recreated: --to-current goes on at what is there, and says what is lost."""
    monkeypatch.setattr("streaming.resetting.choosing.CONFIRM_SECONDS", 0.01)
    expired, replaced = place.topics.create(2), place.topics.create(2)
    for topic in (expired, replaced):
        place.topics.fill(topic, 6, 6)
    place.commit(**{expired: {0: 1, 1: 9}, replaced: {0: 3, 1: 4}})
    place.topics.truncate(expired, 0, before=4)
    place.topics.delete(replaced)
    status, said = refused(capsys, *place.by_store, "--all-topics", "--to-current")
    assert (status, f"TOPIC_MISSING {replaced}" in said) == (3, True)
    place.topics.create(2, name=replaced)
    status, said = refused(capsys, *place.by_store, "--topic", f"{replaced}:1", "--to-current")
    assert (status, "name it whole, with its partitions 0" in said) == (2, True)

    planned = plan(capsys, *place.by_store, "--all-topics", "--to-current", "--execute", "--reason", "retention")
    told_ = {
        (r["topic"], r["partition"]): (r["newOffset"], r["note"].partition(" (")[0]) for r in planned["partitions"]
    }
    assert told_ == {
        (expired, 0): (4, f"EXPIRED {expired}-0 [1,4)"),
        (expired, 1): (6, f"BEYOND_END {expired}-1 [6,9)"),
        (replaced, 0): (0, f"REPLACED {replaced}"),
        (replaced, 1): (0, f"REPLACED {replaced}"),
    }
    state = place.state
    assert (state.generation, state.topics[expired].offsets) == (1, {0: 4, 1: 6})
    assert state.reason.endswith(": --to-current; retention")
    assert plan(capsys, *place.by_store, "--all-topics", "--to-current")["readAgain"] == 0


def test_what_is_in_the_way_is_told_before(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run begins behind a pending batch, and names that and a holder: --execute would meet both."""
    topic = place.topics.create(1)
    place.topics.fill(topic, 9)
    place.commit(**{topic: {0: 2}})
    with closing(open_store(place.store)) as store, store.lock(current_owner("holder"), 0):
        manager = OffsetManager(store, current_owner("holder"))
        manager.read()
        state = manager.take()
        manager.prepare(state.topics, (OffsetRange(topic, 0, 2, 6),), None)
        planned = plan(capsys, *place.by_store, "--all-topics", "--shift-by", "-1")
        assert [(r["currentOffset"], r["newOffset"]) for r in planned["partitions"]] == [(6, 5)]
        pending, held = planned["notes"]
        assert pending.startswith(f"--execute would be refused: batch 0 is pending: {topic}-0[2,6)")
        assert held.startswith(f"pid {os.getpid()} on ")
        status, said = refused(capsys, *place.by_store, "--all-topics", "--shift-by", "-1", "--execute")
        assert (status, "add --force" in said) == (75, True)
    status, said = refused(capsys, *place.by_store, "--all-topics", "--shift-by", "-1", "--execute", "--force")
    assert (status, "no sink is named" in said) == (3, True)
    (note,) = plan(capsys, place.job(topic), "--all-topics", "--shift-by", "-1")["notes"]
    assert note.startswith("--execute would be refused: marker lost: ")


def test_a_csv_is_the_partitions_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What else there is to know, the undo above all, is told on stderr."""
    topic = place.topics.create(1)
    place.topics.fill(topic, 9)
    place.commit(**{topic: {0: 5}})
    assert main("", [*place.by_store, "--all-topics", "--to-offset", "2", "--format", "csv", "--execute"]) == 0
    said = capsys.readouterr()
    head, row = said.out.splitlines()
    assert head == "TOPIC,PARTITION,CURRENT-OFFSET,NEW-OFFSET,READ-AGAIN,SKIPPED,NOTE"
    assert row == f"{topic},0,5,2,3,0,"
    assert "undo: offset_history.py --store" in said.err


def test_offsets_are_kept_and_put_back(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """--export without a mode keeps what is, without asking Kafka; --from-file restores it, in either form."""
    topic = place.topics.create(3)
    place.topics.fill(topic, 9, 9, 9)
    place.commit(**{topic: {0: 7, 1: 8, 2: 9}})
    for name in ("kept.json", "kept.csv"):
        file = str(place.folder / name)
        assert main("", ["--store", place.store, "--export", file]) == 0
        assert new(plan(capsys, *place.by_store, "--all-topics", "--to-earliest", "--execute")) == {0: 0, 1: 0, 2: 0}
        assert place.state.topics[topic].offsets == {0: 0, 1: 0, 2: 0}
        done = plan(capsys, *place.by_store, "--from-file", file, "--topic", f"{topic}:0,2", "--execute")
        assert place.state.topics[topic].offsets == {0: 7, 1: 0, 2: 9}
        assert done["done"]["undo"].startswith("offset_history.py --store ")
        plan(capsys, *place.by_store, "--from-file", file, "--execute")
        assert place.state.topics[topic].offsets == {0: 7, 1: 8, 2: 9}
    assert place.state.generation == 6
    assert main("", ["--store", place.store, "--export", "-", "--topic", f"{topic}:1"]) == 0
    assert json.loads(capsys.readouterr().out) == {topic: {"1": 8}}


def test_without_kafka_or_a_register(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mistake before any connection; a store without a register is told."""
    argv = ["--store", "fil:///x", "--to-datetime", "2026-02-30T00:00:00.000", "--topic", "a:"]
    status, said = refused(capsys, *argv)
    assert (status, said.count("ERROR")) == (2, 3)
    assert "did you mean file:" in said
    assert "did you mean 2026-02-28T00:00:00.000" in said
    status, said = refused(capsys, "--store", place.store, "--all-topics", "--to-latest")
    assert (status, "--bootstrap-server: only Kafka can say" in said) == (2, True)
    status, said = refused(capsys, *place.by_store, "--all-topics", "--to-latest")
    assert (status, "holds no register" in said) == (3, True)
    assert place.files() == {}
