"""offset_history.py: each write of the register once, whoever still knows of it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from offsets.codec import decode_state
from offsets.events import Move, moves
from offsets.filesystems import open_filesystem
from offsets.history import Kept, merged, of_log, of_states
from offsets.manager import OffsetManager, current_owner
from offsets.planning import Plan
from offsets.stores import open_store
from offsets.stores.base import MemoryStore
from offsets.structs import LossRecord, LostRange, Manifest, OffsetRange, TopicState
from streaming.commands import offset_history
from streaming.run.progress import RunProgress
from streaming.run.skipping import LossKeeper
from streaming.sinks.runs import keep_report
from tests.contract.file_places import tree
from tests.contract.lakes import TOPIC_ID, Lake, killed_at

TOPICS = {"t": TopicState("id", {0: 5, 1: 7})}
LOST = (LostRange("EXPIRED", "t", 1, 7, 9),)
Show = Callable[..., tuple[int, str, str]]


def kept(store: MemoryStore, limit: int = 100) -> list[Kept]:
    return [Kept(found.version, decode_state(found.state)) for found in store.states(limit)]


def a_life(store: MemoryStore) -> OffsetManager:
    """Every kind of write but a rebuild."""
    ticks = iter(range(1000, 2000))
    driver = OffsetManager(store, current_owner("run"), clock=lambda: next(ticks))
    driver.read()
    driver.create("app", TOPICS)
    driver.take()
    driver.prepare(TOPICS, (OffsetRange("t", 0, 5, 8),), None)
    driver.commit()
    driver.reset({"t": TopicState("id", {0: 6, 1: 7})}, "ann: again")
    driver.commit_ranges({"t": TopicState("id", {0: 6, 1: 7, 2: 0})}, (OffsetRange("t", 2, 0, 4),))
    driver.skip({"t": TopicState("id", {0: 6, 1: 9, 2: 4})}, LOST)
    return driver


def test_every_kind_with_what_it_moved() -> None:
    """From states alone, in order: when, in which generation, for which batch, and each partition that moved."""
    store = MemoryStore()
    state = a_life(store).state
    rebuilt = OffsetManager(store, current_owner("mended"))
    newest = store.load()
    assert newest is not None
    store.replace(newest, newest.state[:-9])
    rebuilt.rebuild(Manifest("app", 2, 1, 1, (), {"t": TopicState("id", {0: 6})}, (), 0, 5), None)
    states = [Kept(found.version, decode_state(found.state)) for found in store.states(100) if found.version != 7]
    told = [(e.kind, e.generation, e.seq, e.epoch, e.moves) for e in merged(of_states(states), [])]
    assert told == [
        ("create", 0, 0, 0, (Move("t", 0, None, 5), Move("t", 1, None, 7))),
        ("takeover", 0, 0, 1, ()),
        ("prepare", 0, 0, 1, (Move("t", 0, 5, 8),)),
        ("commit", 0, 0, 1, (Move("t", 0, 5, 8),)),
        ("reset", 1, 1, 1, (Move("t", 0, 8, 6),)),
        ("commit", 1, 1, 1, (Move("t", 2, None, 4),)),
        ("loss", 2, 2, 1, (Move("t", 1, 7, 9),)),
        ("rebuild", 2, 2, 1_000_001, (Move("t", 0, None, 6),)),
    ]
    events = merged(of_states(states), [])
    assert [e.time_ms for e in events[:-1]] == list(range(1000, 1007))
    assert (events[4].reason, events[6].losses, events[2].owner) == ("ann: again", LOST, state.owner)


def test_a_topic_with_another_id_has_moved_as_a_whole() -> None:
    """Offsets of two topics of one name say nothing of each other; what was added or dropped has one side only."""
    was = {"t": TopicState("old", {0: 5}), "u": TopicState("u", {0: 1, 1: 1})}
    now = {"t": TopicState("new", {0: 5}), "u": TopicState("u", {0: 1, 2: 3})}
    assert moves(was, now) == (Move("t", 0, 5, 5), Move("u", 1, 1, None), Move("u", 2, None, 3))


def test_what_nobody_knows_is_none() -> None:
    """A commit whose forerunner is not kept may have moved anything; a reset carries where it was."""
    store = MemoryStore()
    driver = OffsetManager(store, current_owner("run"))
    driver.read()
    driver.create("app", TOPICS)
    driver.take()
    driver.commit_ranges(TOPICS, (OffsetRange("t", 0, 5, 8),))
    (newest,) = kept(store, 1)
    assert of_states([newest])[0].moves is None
    assert of_states([newest, Kept(0, newest.state)])[0].moves is None, "a state between them is gone"
    driver.reset(TOPICS, "why")
    assert of_states(kept(store, 1))[0].moves == (Move("t", 0, 8, 5),)


def test_the_log_fills_in_and_doubles_nothing() -> None:
    """A batch that states and log both know is one; the log has its ranges, where nothing else says them."""
    store = MemoryStore()
    state = a_life(store).state
    entries = [
        Manifest("app", 0, 1, 0, (OffsetRange("t", 0, 5, 8),), {"t": TopicState("id", {0: 8, 1: 7})}, (), 3, 11),
        Manifest("app", 1, 1, 0, (), {"t": TopicState("id", {0: 6, 1: 7})}, (), 0, 12),
        Manifest("app", 1, 1, 1, (OffsetRange("t", 2, 0, 4),), {"t": TopicState("id", {0: 6, 1: 7, 2: 4})}, (), 4, 13),
        Manifest("app", 2, 1, 1, (), dict(state.topics), (), 0, 14),
    ]
    logged = of_log(entries, [LossRecord("app", 2, LOST)], state)
    both = merged(of_states(kept(store)), logged)
    assert [e.kind for e in both] == ["create", "takeover", "prepare", "commit", "reset", "commit", "loss"]
    assert (both[3].records, both[5].moves) == (3, (Move("t", 2, 0, 4),))
    alone = merged([], logged)
    assert [(e.kind, e.generation, e.seq, e.moves) for e in alone] == [
        ("commit", 0, 0, (Move("t", 0, 5, 8),)),
        ("reset", 1, 1, (Move("t", 0, 8, 6),)),
        ("commit", 1, 1, (Move("t", 2, 0, 4),)),
        ("loss", 2, 2, (Move("t", 1, 7, 9),)),
    ]
    newest = merged(of_states(kept(store, 1)), logged)
    assert [e.owner for e in newest] == [state.owner] * 4, "an epoch has one owner"


def test_without_its_trace_a_generation_says_less() -> None:
    """A loss stands before the first batch behind it; where a reset was is not guessed over a gap."""
    batch = Manifest("app", 3, 4, 7, (OffsetRange("t", 1, 9, 12),), {"t": TopicState("id", {1: 12})}, (), 3, 11)
    trace = Manifest("app", 5, 4, 7, (), {"t": TopicState("id", {1: 0})}, (), 0, 12)
    told = merged([], of_log([trace, batch], [LossRecord("app", 3, LOST)], None))
    assert [(e.kind, e.generation, e.time_ms) for e in told] == [
        ("loss", 3, None),
        ("commit", 3, 11),
        ("reset", 5, 12),
    ]
    assert told[-1].moves is None


def test_where_a_reset_was_is_not_guessed_over_a_batch_that_was_not_logged() -> None:
    """At-most-once commits before it writes: the last batch before a reset may be in no log."""
    batch = Manifest("app", 0, 4, 7, (OffsetRange("t", 1, 9, 12),), {"t": TopicState("id", {1: 12})}, (), 3, 11)
    begun = Manifest("app", 1, 4, 8, (), {"t": TopicState("id", {1: 0})}, (), 0, 12)
    assert of_log([batch, begun], [], None)[-1].was is None
    assert of_log([batch, replace(begun, seq=7)], [], None)[-1].was == batch.topics


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(open_store(f"file://{tmp_path}/offsets"), open_filesystem(f"file://{tmp_path}/lake"))


@pytest.fixture
def show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Show:
    """Exit status, stdout and stderr of the script."""
    places = ("--store", f"file://{tmp_path}/offsets", "--sink", f"file://{tmp_path}/lake")

    def run(*options: str, at: tuple[str, ...] = places) -> tuple[int, str, str]:
        status = offset_history.main("", [*at, *options])
        return status, *capsys.readouterr()

    return run


def forget(tmp_path: Path) -> None:
    """The register's older states, as ZooKeeper does."""
    for path in sorted((tmp_path / "offsets/state").glob("*.json"))[:-1]:
        path.unlink()


def kinds(show: Show, *options: str) -> list[str]:
    return [event["kind"] for event in json.loads(show("--format", "json", *options)[1])["events"]]


def test_a_batch_that_another_driver_finished(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Planned in one epoch, committed in the next: one commit, by who did it, and in its place without states too."""
    lake.run(1)
    with killed_at("commit.before"):
        lake.run(1)
    assert kinds(show, "--limit", "2") == ["commit", "prepare"], "what is decided and logged is not committed yet"
    lake.launch()
    told = json.loads(show("--format", "json")[1])["events"]
    assert [(e["kind"], e["epoch"], e["batch"]) for e in told[-3:]] == [
        ("prepare", 1, 1),
        ("takeover", 2, 1),
        ("commit", 2, 1),
    ]
    forget(tmp_path)
    assert kinds(show) == ["commit", "commit"]


def test_without_older_states_the_log_tells(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Commits and resets with what they moved are the same from the log; nothing is changed by looking."""
    lake.run(2)
    lake.reset(5)
    lake.launch()
    lake.run(1)
    before = tree(lake.filesystem), lake.store.load()
    shown = json.loads(show("--format", "json")[1])["events"]
    forget(tmp_path)
    again = json.loads(show("--format", "json")[1])["events"]
    assert [(e["kind"], e["moves"]) for e in again] == [
        (e["kind"], e["moves"]) for e in shown if e["kind"] in ("commit", "reset")
    ]
    assert (tree(lake.filesystem), lake.store.load()) == before


def test_the_table_and_csv(lake: Lake, show: Show) -> None:
    """The newest last; a reset says from where to where and why; a filter leaves only what moved the partition."""
    lake.run(1)
    lake.reset(5)
    rows = [re.split(r"\s*│\s*", line.strip("│ \n")) for line in show()[1].splitlines() if "│" in line]
    assert rows[0] == ["TIME", "KIND", "GENERATION", "EPOCH", "BATCH", "OWNER", "WHAT"]
    assert [row[1] for row in rows[1:]] == ["create", "takeover", "prepare", "commit", "reset"]
    assert rows[-1][2:5] == ["1", "1", "1"]
    assert rows[-1][-1] == "orders-0 10 to 5, orders-1 10 to 5, a test"
    lines = list(csv.DictReader(io.StringIO(show("--format", "csv", "--topic", "orders:1")[1])))
    assert [(line["KIND"], line["PARTITION"], line["FROM-OFFSET"], line["UNTIL-OFFSET"]) for line in lines] == [
        ("create", "1", "", "0"),
        ("prepare", "1", "0", "10"),
        ("commit", "1", "0", "10"),
        ("reset", "1", "10", "5"),
    ]


def test_the_newest_of_many(lake: Lake, show: Show) -> None:
    """--limit counts states, the newest; the oldest of them still says what it moved, without a log too."""
    lake.run(3)
    told = json.loads(show("--format", "json", "--limit", "3", at=("--store", lake.store.url))[1])["events"]
    assert [(e["kind"], e["batch"], e["moves"][0]["fromOffset"]) for e in told] == [
        ("commit", 1, 10),
        ("prepare", 2, 20),
        ("commit", 2, 20),
    ]
    told = json.loads(show("--format", "json", "--limit", "3")[1])["events"]
    assert [e["numInputRows"] for e in told] == [20, None, 20], "counts are the log's"


def test_many_partitions_are_not_spelled_out(tmp_path: Path, show: Show) -> None:
    """The table names a few and counts the rest; JSON has all."""
    lake = Lake(open_store(f"file://{tmp_path}/offsets"), open_filesystem(f"file://{tmp_path}/lake"), partitions=9)
    lake.run(1)
    assert "orders-0[0,10), orders-1[0,10), orders-2[0,10) and 6 more" in show()[1]
    assert len(json.loads(show("--format", "json")[1])["events"][-1]["moves"]) == 9


def test_a_loss_that_was_skipped(lake: Lake, show: Show, tmp_path: Path) -> None:
    """From the register, and from the sink's record and trace once the register has gone on: the same."""
    lake.run(1)
    gone = (LostRange("EXPIRED", "orders", 1, 10, 12),)
    LossKeeper(lake.manager, lake.sink).skip(Plan((), {"orders": TopicState(TOPIC_ID, {0: 10, 1: 12})}, losses=gone))
    first = json.loads(show("--format", "json")[1])["events"][-1]
    assert (first["kind"], first["moves"][0]["untilOffset"], first["dataLoss"][0]["kind"]) == ("loss", 12, "EXPIRED")
    assert "orders-1[10,12), EXPIRED" in show()[1]
    lake.run(1)
    forget(tmp_path)
    (later,) = [e for e in json.loads(show("--format", "json")[1])["events"] if e["kind"] == "loss"]
    assert {**later, "owner": first["owner"], "numInputRows": None, "files": None} == first


def test_damage(lake: Lake, show: Show, tmp_path: Path) -> None:
    """An old state or entry that is damaged is named and hides no other; a damaged register is exit 3, and told."""
    lake.run(2)
    numbered = sorted((tmp_path / "offsets/state").glob("*.json"))
    numbered[2].write_bytes(b"half")
    entry = tmp_path / "lake/_batches/0/0000000000.json"
    entry.write_bytes(b"half")
    status, said, _ = show("--format", "json")
    assert (status, [e["kind"] for e in json.loads(said)["events"]]) == (
        0,
        ["create", "takeover", "commit", "prepare", "commit"],
    )
    assert [note.split(" was not written")[0] for note in json.loads(said)["notes"]] == [
        f"state 2 of the register in file://{tmp_path}/offsets",
        "_batches/0/0000000000.json",
    ]
    assert show("--topic", "orders:0")[0] == 0
    numbered[-1].write_bytes(b"half")
    status, said, complaints = show("--format", "json")
    assert (status, [e["kind"] for e in json.loads(said)["events"]]) == (
        3,
        ["create", "takeover", "commit", "prepare"],
    )
    assert "state 5 of the register" in complaints


def test_what_does_not_answer(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Without a sink the store's states are shown, and that is said; a sink that is away is exit 69."""
    lake.run(1)
    store = ("--store", f"file://{tmp_path}/offsets")
    status, said, _ = show(at=store)
    assert (status, "commit" in said, "note: no --sink was given" in said) == (0, True, True)
    status, said, complaints = show(at=(*store, "--sink", "webhdfs://127.0.0.1:1/lake?user=ann"))
    assert (status, "commit" in said, "127.0.0.1:1" in complaints) == (69, True, True)
    assert show(at=("--store", f"file://{tmp_path}/nothing"))[0] == 0


def test_a_lost_register_is_told_from_the_sink(lake: Lake, show: Show, tmp_path: Path) -> None:
    """What was logged is shown; of the newest batch nobody can say that it was committed."""
    lake.run(2)
    for path in (tmp_path / "offsets/state").iterdir():
        path.unlink()
    assert kinds(show) == ["commit", "prepare"]


def test_mistakes(lake: Lake, show: Show) -> None:
    """Exit 2, all at once, with what is nearest."""
    lake.run(1)
    status, _, complaints = show("--topic", "ordres", "--topic", "orders:7")
    assert status == 2
    assert "did you mean orders?" in complaints
    assert "orders has no partition 7: it has 0 to 1" in complaints
    with pytest.raises(SystemExit):
        show("--limit", "0")


def test_another_application_s_sink(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Its batches are not this register's."""
    lake.run(1)
    other = OffsetManager(open_store(f"file://{tmp_path}/other"), current_owner("run"))
    other.read()
    other.create("b" * 32, TOPICS)
    status, said, _ = show(at=("--store", f"file://{tmp_path}/other", "--sink", f"file://{tmp_path}/lake"))
    assert (status, "create" in said, "prepare" in said) == (0, True, False)
    assert "entries of the batch log that are another application's: 1" in said


def test_takeovers_from_the_reports_of_runs(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Where the store keeps no older states: who took over, when, and so whose the commits of that epoch are."""
    ran = []
    for _ in range(2):
        progress = RunProgress("job", uuid.uuid4().hex, "sink")
        lake.launch()
        progress.taken = lake.manager.state
        lake.run(1)
        keep_report(lake.filesystem, progress.summary(0, "done"), 9)
        ran.append(progress)
    keep_report(lake.filesystem, {**progress.summary(0, "done"), "runId": "0" * 32, "takeover": {"epoch": "x"}}, 9)
    keep_report(lake.filesystem, RunProgress("job", "1" * 32, "sink").summary(75, "not its turn"), 9)
    shown = json.loads(show("--format", "json")[1])["events"]
    forget(tmp_path)
    told = json.loads(show("--format", "json")[1])["events"]
    assert [(e["kind"], e["epoch"], e["batch"]) for e in told] == [
        ("takeover", 2, 0),
        ("commit", 2, 0),
        ("takeover", 3, 1),
        ("commit", 3, 1),
    ]
    assert [e for e in told if e["kind"] == "takeover"] == [
        {**e, "owner": {**e["owner"], "runId": run.run_id}}
        for e, run in zip([e for e in shown if e["kind"] == "takeover" and e["epoch"] > 1], ran, strict=True)
    ]
    assert {e["owner"]["pid"] for e in told} == {os.getpid()}
