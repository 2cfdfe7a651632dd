"""reset_offsets.py on a real broker: a dry run leaves no trace, and what is shown is done, on every kind of store."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer

from offsets.manager import OffsetManager, current_owner
from offsets.stores import open_store
from offsets.structs import OffsetRange
from servers.kafka_server import Kafka
from streaming.commands.reset_offsets import main
from streaming.resetting.times import told
from tests.contract.reset_places import Place, new, plan, refused
from tests.integration.jobs import Topics
from tests.takeover.stores import ALL_KINDS, mostly, settings


@pytest.fixture
def place(kafka: Kafka, tmp_path: Path) -> Place:
    return Place(tmp_path, kafka, Topics(kafka))


# ---- every mode, executed


@pytest.fixture(params=mostly("file", ALL_KINDS))
def kept(request: pytest.FixtureRequest, place: Place) -> Place:
    """With a register of every kind."""
    if request.param != "file":
        place.url = settings(request, request.param, place.folder)["offsets__store"]
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
