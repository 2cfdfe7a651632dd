"""offset_history.py --undo: the very offsets again while nothing was committed, else the plain reset that would do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from offsets.codec import decode_state
from offsets.events import RESET, Event
from offsets.filesystems import open_filesystem
from offsets.manager import current_owner
from offsets.planning import Plan
from offsets.reset import Move
from offsets.stores import open_store
from offsets.structs import State, TopicState
from offsets.undo import by_hand, restoring
from streaming.commands import offset_history
from tests.contract.file_places import tree
from tests.contract.lakes import TOPIC_ID, Lake

Undo = Callable[..., tuple[int, str, str]]
EPOCHS = {0: 3, 1: 4}


def topic(id_: str = "id", epochs: Mapping[int, int] = {}, **offsets: int) -> TopicState:
    return TopicState(id_, {int(p[1:]): offset for p, offset in offsets.items()}, epochs)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(open_store(f"file://{tmp_path}/offsets"), open_filesystem(f"file://{tmp_path}/lake"))


@pytest.fixture
def undo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Undo:
    """Exit status, stdout and stderr of the script."""
    places = ("--store", f"file://{tmp_path}/offsets", "--sink", f"file://{tmp_path}/lake", "--undo")

    def run(*options: str, at: tuple[str, ...] = places) -> tuple[int, str, str]:
        status = offset_history.main("", [*at, *options])
        return status, *capsys.readouterr()

    return run


def register(lake: Lake) -> State:
    found = lake.store.load()
    assert found is not None
    return decode_state(found.state)


def test_what_an_undo_moves() -> None:
    """Each partition that is elsewhere, with the records at most; of another topic nothing can be counted."""
    now = {"t": topic(p0=9, p1=5, p2=1), "u": topic("new", p0=4), "v": topic(p0=2)}
    was = {"t": topic(p0=4, p1=5, p3=7), "u": topic("old", p0=4)}
    assert restoring(now, was) == (
        Move("t", 0, 9, 4, 5, 0),
        Move("t", 2, 1, None, None, None),
        Move("t", 3, None, 7, None, None),
        Move("u", 0, 4, 4, None, None, "another topic of the same name"),
        Move("v", 0, 2, None, None, None),
    )


def test_the_plain_reset_is_of_what_the_reset_moved() -> None:
    """A partition that it left alone has gone on by itself; what is another topic's or was not there is left out."""
    was = {"t": topic(p0=20, p1=20), "u": topic("old", p0=4)}
    became = {"t": topic(p0=5, p1=20, p2=0), "u": topic("new", p0=0)}
    now = {"t": topic(p0=15, p1=30, p2=9), "u": topic("new", p0=8)}
    found = by_hand(now, Event(RESET, 1, 2, was=was, topics=became))
    assert found is not None
    assert (found.offsets, found.moves) == ({"t": {0: 20}}, (Move("t", 0, 15, 20, 0, 5),))
    assert [why.split(" ")[0] for why in found.left_out] == ["t-2", "u-0"]
    assert by_hand(now, Event(RESET, 1, 2, topics=became)) is None


def rewind(lake: Lake) -> State:
    """Two batches under leader epochs, then a reset of partition 1 alone; the register before it."""
    lake.run(1)
    batch = lake.planned()
    topics = {"orders": TopicState(TOPIC_ID, batch.plan.topics["orders"].offsets, EPOCHS)}
    lake.commit(replace(batch, plan=Plan(batch.plan.ranges, topics)))
    before = lake.manager.state
    lake.manager.reset({"orders": TopicState(TOPIC_ID, {0: 20, 1: 3}, {0: 3})}, "ann: again")
    lake.sink.log_reset(lake.manager.state)
    return before


def test_shown_then_done_then_undone(lake: Lake, undo: Undo) -> None:
    """The dry run writes nothing; done, the very offsets and epochs are back, and that can be undone as well."""
    before = rewind(lake)
    assert before.topics["orders"].epochs == EPOCHS
    after, files = register(lake), tree(lake.filesystem)
    status, said, _ = undo()
    assert (status, register(lake), tree(lake.filesystem)) == (0, after, files)
    assert "--undo --execute" in said
    assert "│ orders  │           1 │                3 │           20 │            0 │        17 │" in said
    status, said, complaints = undo("--execute", "--format", "json")
    assert status == 0, complaints
    state = register(lake)
    assert state.topics == before.topics
    assert (state.generation, state.before) == (2, after.topics)
    assert state.reason.endswith(": undo of generation 1")
    assert json.loads(said)["done"]["undo"].endswith("--undo")
    assert undo("--execute", "--reason", "it was right")[0] == 0
    assert (register(lake).topics, register(lake).generation) == (after.topics, 3)
    assert register(lake).reason.endswith(": it was right")


def test_a_takeover_is_no_commit(lake: Lake, undo: Undo) -> None:
    """A launch that found nothing to do has changed nothing that an undo would lose."""
    before = rewind(lake)
    lake.launch()
    assert undo("--execute")[0] == 0
    assert register(lake).topics == before.topics


@pytest.mark.parametrize("kept", [1, 1000])
def test_after_a_commit_it_is_explained(lake: Lake, undo: Undo, tmp_path: Path, kept: int) -> None:
    """Exit 1, the plain reset as a table and a command; also from the sink, where the store has only the newest."""
    rewind(lake)
    lake.launch()
    lake.run(3)
    for path in sorted((tmp_path / "offsets/state").glob("*.json"))[:-kept]:
        path.unlink()
    before = register(lake), tree(lake.filesystem)
    for execute in ((), ("--execute",)):
        status, said, complaints = undo(*execute, "--limit", "2" if kept == 1 else "50")
        assert status == 1
        assert "│ orders  │           1 │               33 │           20 │           13 │         0 │" in said
        command = f"reset_offsets.py --store file://{tmp_path}/offsets --sink file://{tmp_path}/lake"
        command += " --bootstrap-server HOST:PORT --topic orders:1 --to-offset 20 --execute"
        assert command in complaints
        assert command in said
        assert ("ann: again" in complaints) == (kept > 1)
    assert (register(lake), tree(lake.filesystem)) == before


def test_several_offsets_go_by_a_file(lake: Lake, undo: Undo) -> None:
    """One command for all of them, in the form that --from-file reads."""
    lake.run(1)
    lake.manager.reset({"orders": TopicState(TOPIC_ID, {0: 5, 1: 7})}, "ann")
    lake.manager.reset({"orders": TopicState(TOPIC_ID, {0: 1, 1: 2})}, "bob")
    lake.run(1)
    _, said, complaints = undo()
    command = """echo '{"orders": {"0": 5, "1": 7}}' | reset_offsets.py"""
    assert command in said
    assert f"{command} --store" in complaints
    assert "--from-file - --execute" in complaints


def test_nothing_to_undo(lake: Lake, undo: Undo, tmp_path: Path) -> None:
    """No reset at all; one that nobody remembers; no register."""
    lake.run(1)
    status, said, complaints = undo()
    assert (status, said) == (1, "")
    assert "no reset is known" in complaints
    lake.reset(5)
    lake.run(1)
    for path in sorted((tmp_path / "offsets/state").glob("*.json"))[:-1]:
        path.unlink()
    (tmp_path / "lake/_batches/0/0000000000.json").unlink()
    status, said, complaints = undo()
    assert (status, said) == (1, "")
    assert "where its partitions were before is not known any more" in complaints
    nowhere = ("--store", f"file://{tmp_path}/nowhere", "--undo")
    assert undo(at=nowhere)[0] == 3


def test_another_reset_meanwhile_is_not_undone(lake: Lake, undo: Undo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was looked at is what is undone."""
    rewind(lake)
    monkeypatch.setattr("streaming.history.undo.losses_told", lambda *_: lake.reset(9) or ())
    status, _, complaints = undo("--execute")
    assert (status, "generation 2 has begun" in complaints) == (1, True)
    assert register(lake).topics["orders"].offsets == {0: 9, 1: 9}


def test_what_was_done_is_done_whoever_reads_of_it(lake: Lake, undo: Undo, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind `| head`: the reader is gone, nothing is raised, also by the interpreter's own end."""
    rewind(lake)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert undo("--execute")[0] == 0
        pipe.write("more")
    assert register(lake).generation == 2


def test_a_run_that_is_alive(lake: Lake, undo: Undo) -> None:
    """75 while it holds the lock, and nothing has changed; --force fences it."""
    before = rewind(lake)
    after = register(lake)
    with open_store(lake.store.url).lock(current_owner("other"), 0):
        assert "holds the job" in undo()[1]
        status, _, complaints = undo("--execute")
        assert (status, register(lake)) == (75, after)
        assert "--force" in complaints
        assert undo("--execute", "--force")[0] == 0
    assert register(lake).topics == before.topics


def test_mistakes_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that change something are refused beside a mere look, with the other mistakes."""
    assert offset_history.main("", ["--store", "fil:///x", "--execute", "--force", "--reason", "why"]) == 2
    complaints = capsys.readouterr().err
    for mistake in ("--execute: goes with --undo", "--force: goes", "--reason: goes", "did you mean file:?"):
        assert mistake in complaints
    assert offset_history.main("", ["--store", f"file://{tmp_path}", "--undo", "--topic", "t"]) == 2
