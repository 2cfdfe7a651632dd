"""show_offsets.py: what it says of a job, also of one that is paused, held, late, or whose Kafka is away."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offsets.errors import UnavailableError
from offsets.filesystems import open_filesystem
from offsets.manager import current_owner
from offsets.planning import Plan
from offsets.snapshot import TopicSnapshot
from offsets.stores import open_store
from offsets.structs import LostRange, OffsetRange, TopicState
from streaming.commands import show_offsets
from streaming.overview import looks
from streaming.overview.values import Row, ago, last_success, rows, strangers, successful_end
from streaming.run.skipping import LossKeeper
from streaming.sinks.pause import Pause, set_pause
from streaming.sinks.runs import keep_report
from tests.contract.file_places import tree
from tests.contract.lakes import TOPIC_ID, Lake
from tests.unit.job_file import JOB

ENDS = {"orders": TopicSnapshot(TOPIC_ID, {0: (0, 25), 1: (0, 20), 2: (0, 3)})}
Show = Callable[..., tuple[int, str]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(open_store(f"file://{tmp_path}/offsets"), open_filesystem(f"file://{tmp_path}/lake"))


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Exit status and stdout of the script; Kafka is a value."""
    job = tmp_path / "orders.cfg"
    job.write_text(JOB.format(folder=tmp_path))
    monkeypatch.setattr(looks, "ask_kafka", lambda config, topics: ENDS)
    monkeypatch.setattr(looks, "MOMENT_SECONDS", 0.0)

    def run(*options: str) -> tuple[int, str]:
        return show_offsets.main("", [str(job), *options]), capsys.readouterr().out

    return run


def test_every_partition_that_either_knows_is_shown() -> None:
    """A partition that is new, one that vanished, and one whose log ends before the offset."""
    known = {"t": TopicState("i", {0: 5, 1: 9}), "gone": TopicState("g", {0: 1})}
    snapshot = {"t": TopicSnapshot("other", {1: (0, 7), 2: (3, 8)})}
    assert [(*row, row.lag) for row in rows(known, snapshot)] == [
        ("gone", 0, 1, None, None),
        ("t", 0, 5, None, None),
        ("t", 1, 9, 7, -2),
        ("t", 2, None, 8, None),
    ]
    assert [line.split()[1:4] for line in strangers(known, snapshot)] == [
        ["has", "no", "topic"],
        ["t", "was", "recreated:"],
    ]
    assert Row("t", 0, 3, 8).lag == 5


def test_the_table_says_all_of_it(lake: Lake, show: Show) -> None:
    """Offsets and lag, the next batch, the last commit, and what stands in the way."""
    lake.run(2)
    set_pause(lake.filesystem, Pause("ann", "noon", "an upgrade"))
    before = tree(lake.filesystem), lake.store.load()
    status, said = show()
    assert status == 0
    lines = [line.replace("│", " ").split() for line in said.splitlines()]
    assert ["orders", "0", "20", "25", "5"] in lines
    assert ["orders", "2", "-", "3", "-"] in lines
    for words in (
        "next batch:",
        "2 (generation 0, epoch 1)",
        "paused by ann since noon: an upgrade",
        "nobody",
        "s ago",
    ):
        assert words in said
    assert (tree(lake.filesystem), lake.store.load()) == before


def test_json_and_csv_say_the_same(lake: Lake, show: Show) -> None:
    """The partitions in both; who holds the job, and whether it moves, in JSON."""
    lake.run(2)
    (status, text), (_, table) = show("--format", "json"), show("--format", "csv")
    said = json.loads(text)
    assert (status, said["nextBatch"], said["pending"], said["holder"], said["moves"]) == (0, 2, None, None, False)
    assert said["lastCommit"] == said["lastSuccess"]
    read = list(csv.DictReader(io.StringIO(table)))
    wanted = [[str("" if v is None else v) for v in row.values()] for row in said["partitions"]]
    assert [list(row.values()) for row in read] == wanted
    assert list(read[0]) == ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"]


def test_a_holder_and_whether_it_moves(lake: Lake, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks at the register, a moment apart."""
    lake.run(1)
    with open_store(lake.store.url).lock(current_owner("other"), 0):
        held = json.loads(show("--format", "json")[1])
        assert (held["holder"]["pid"], held["moves"]) == (current_owner("").pid, False)
        assert "did not move" in show()[1]

        def meanwhile(config: Any, topics: Any) -> Any:
            lake.run(1)
            return ENDS

        monkeypatch.setattr(looks, "ask_kafka", meanwhile)
        assert json.loads(show("--format", "json")[1])["moves"] is True
        assert "the register moves" in show()[1]


def test_without_kafka_the_store_is_shown(lake: Lake, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 69, because the lag is not known; the offsets are there."""

    def away(config: Any, topics: Any) -> Any:
        raise UnavailableError("Kafka did not answer")

    lake.run(1)
    monkeypatch.setattr(looks, "ask_kafka", away)
    status, said = show()
    assert status == 69
    assert ["orders", "0", "10", "-", "-"] in [line.replace("│", " ").split() for line in said.splitlines()]
    assert "Kafka did not answer" in said
    assert show("--format", "json", "--max-age", "1d")[0] == 69


def test_a_success_that_is_too_old(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Exit 5 when the last is older, or there was none; a run with nothing new is one, a failed one is not."""
    assert show("--max-age", "1d")[0] == 5
    report = {"timestamp": "2020-01-01T00:00:00.000Z", "durationMs": {"run": 1500}, "runId": "0" * 32, "exitStatus": 0}
    keep_report(lake.filesystem, report, 9)
    assert show("--max-age", "1d")[0] == 5
    assert show("--max-age", "99999d")[0] == 0
    keep_report(lake.filesystem, {**report, "timestamp": "2021-01-01T00:00:00.000Z", "exitStatus": 3}, 9)
    assert json.loads(show("--format", "json")[1])["lastSuccess"] == "2020-01-01T00:00:01+00:00"
    lake.run(1)
    assert show("--max-age", "1d")[0] == 0


def test_a_job_that_never_ran(show: Show, tmp_path: Path) -> None:
    """Exit 0 with what there is to say; nothing is made."""
    status, said = show()
    assert status == 0
    assert "never launched" in said
    assert [path.name for path in tmp_path.iterdir()] == ["orders.cfg"]


def test_what_is_wrong_is_told(show: Show, tmp_path: Path, lake: Lake) -> None:
    """A register that is damaged exits 3, options that are wrong 2; stdout stays empty."""
    newest = max((tmp_path / "offsets" / "state").iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    assert show() == (3, "")
    assert show("--set", "nonsense") == (2, "")
    with pytest.raises(SystemExit):
        show("--max-age", "soon")


def test_ages_are_told_in_the_unit_that_fits() -> None:
    """From two of a unit on."""
    assert [ago(0, s * 1000) for s in (90, 119, 600, 7200, 172_800)] == [
        *("90s ago", "119s ago", "10m ago", "2h ago", "2d ago")
    ]


def test_reports_of_others_are_no_success() -> None:
    """Fields that are missing or of another type are passed over."""
    strange: list[dict[str, Any]] = [{}, {"exitStatus": 0}, {"exitStatus": 0, "timestamp": 1, "durationMs": []}]
    assert [successful_end(report) for report in strange] == [None, None, None]
    assert last_success(None, strange) is None


def test_a_direct_sinks_pending_batch_is_told_with_its_ranges(lake: Lake, show: Show) -> None:
    """What may be written in part, and that the next launch writes it again."""
    lake.run(2)
    range_ = OffsetRange("orders", 0, 20, 25)
    lake.manager.prepare(lake.manager.state.topics, (range_,), None)
    assert "batch 2 of a direct sink may be written in part: orders-0[20,25); the next launch writes it" in show()[1]


def test_what_was_skipped_last_is_told(lake: Lake, show: Show, tmp_path: Path) -> None:
    """From the sink's newest record, as the register forgets it; a record that is damaged hides nothing else."""
    lake.run(1)
    lost = LostRange("EXPIRED", "orders", 0, 10, 14)
    topics = {"orders": TopicState(TOPIC_ID, {0: 14, 1: 10})}
    LossKeeper(lake.manager, lake.sink).skip(Plan((), topics, losses=(lost,)))
    lake.run(1)
    assert "EXPIRED orders-0 [10,14), skipped by generation 1" in show()[1]
    said = json.loads(show("--format", "json")[1])
    (told,) = said["dataLoss"]
    assert (told["generation"], told["fromOffset"], told["untilOffset"]) == (1, 10, 14)
    set_pause(lake.filesystem, Pause("ann", "noon", "an upgrade"))
    (tmp_path / "lake" / "_losses" / "1.json").write_text("{}")
    status, text = show("--format", "json")
    said = json.loads(text)
    assert (status, said["dataLoss"], said["paused"]["who"]) == (69, [], "ann")
    assert any("_losses/1.json" in note for note in said["notes"])
