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
from offsets.structs import LostRange, OffsetRange, Pending, TopicPartition, TopicState
from streaming.commands import show_offsets
from streaming.moments import ago
from streaming.overview import looks
from streaming.overview.next_records import most_lagging
from streaming.overview.retention import rates, time_left
from streaming.overview.values import Row, last_success, rows, strangers, successful_end
from streaming.run.skipping import LossKeeper
from streaming.sinks.pause import Pause, set_pause
from streaming.sinks.runs import KeptReports, keep_report
from tests.contract.file_places import tree
from tests.contract.lakes import TOPIC_ID, Lake
from tests.unit.job_file import JOB

ENDS = {"orders": TopicSnapshot(TOPIC_ID, {0: (4, 25), 1: (0, 20), 2: (0, 3)}, high_watermarks={0: 28, 1: 20, 2: 3})}
NEVER = {"timestamp": "2020-01-01T00:00:00.000Z", "durationMs": {"run": 1500}, "runId": "0" * 32, "exitStatus": 0}
Show = Callable[..., tuple[int, str]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(open_store(f"file://{tmp_path}/offsets"), open_filesystem(f"file://{tmp_path}/lake"))


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Exit status and stdout of the script; Kafka is a value."""
    job = tmp_path / "orders.cfg"
    job.write_text(JOB.format(folder=tmp_path))
    monkeypatch.setattr(looks, "ask_kafka", lambda kafka, topics: ENDS)
    monkeypatch.setattr(looks, "next_times", lambda rows, kafka: {})
    monkeypatch.setattr(looks, "MOMENT_SECONDS", 0.0)

    def run(*options: str) -> tuple[int, str]:
        return show_offsets.main("", [str(job), *options]), capsys.readouterr().out

    return run


def test_every_partition_that_either_knows_is_shown() -> None:
    """A partition that is new, one that vanished, and one whose log ends before the offset."""
    known = {"t": TopicState("i", {0: 5, 1: 9}), "gone": TopicState("g", {0: 1})}
    snapshot = {"t": TopicSnapshot("other", {1: (0, 7), 2: (3, 8)}, high_watermarks={1: 7, 2: 11})}
    pending = Pending((OffsetRange("t", 0, 5, 6),), None)
    assert [(*row[:7], row.lag) for row in rows(known, snapshot, pending)] == [
        ("gone", 0, 1, None, None, None, None, None),
        ("t", 0, 5, None, None, None, 6, None),
        ("t", 1, 9, 0, 7, 7, None, -2),
        ("t", 2, None, 3, 11, 8, None, None),
    ]
    assert [line.split()[1:4] for line in strangers(known, snapshot)] == [
        ["has", "no", "topic"],
        ["t", "was", "recreated:"],
    ]
    assert Row("t", 0, 3, end=8).lag == 5


def test_the_table_says_all_of_it(lake: Lake, show: Show) -> None:
    """Offsets and lag, the next batch, the last commit, and what stands in the way."""
    lake.run(2)
    set_pause(lake.filesystem, Pause("ann", "noon", "an upgrade"))
    before = tree(lake.filesystem), lake.store.load()
    status, said = show()
    assert status == 0
    lines = [line.replace("│", " ").split() for line in said.splitlines()]
    assert ["orders", "0", "20", "4", "28", "8", "25", "-", "-", "-"] in lines
    assert ["orders", "2", "-", "0", "3", "-", "3", "-", "-", "-"] in lines
    assert "3 records before the ends: open transactions hold them back" in said
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
    assert list(read[0]) == [
        *("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-START-OFFSET", "LOG-END-OFFSET", "LAG"),
        *("LAST-STABLE-OFFSET", "PENDING", "TIME-LAG", "TIME-LEFT"),
    ]


def test_a_holder_and_whether_it_moves(lake: Lake, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks at the register, a moment apart."""
    lake.run(1)
    with open_store(lake.store.url).lock(current_owner("other"), 0):
        held = json.loads(show("--format", "json")[1])
        assert (held["holder"]["pid"], held["moves"]) == (current_owner("").pid, False)
        assert "did not move" in show()[1]

        def meanwhile(kafka: Any, topics: Any) -> Any:
            lake.run(1)
            return ENDS

        monkeypatch.setattr(looks, "ask_kafka", meanwhile)
        assert json.loads(show("--format", "json")[1])["moves"] is True
        assert "the register moves" in show()[1]


def test_without_kafka_the_store_is_shown(lake: Lake, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 69, because the lag is not known; the offsets are there."""

    def away(kafka: Any, topics: Any) -> Any:
        raise UnavailableError("Kafka did not answer")

    lake.run(1)
    monkeypatch.setattr(looks, "ask_kafka", away)
    status, said = show()
    assert status == 69
    assert ["orders", "0", "10", *"-------"] in [line.replace("│", " ").split() for line in said.splitlines()]
    assert "Kafka did not answer" in said
    assert show("--format", "json", "--max-age", "1d")[0] == 69


def test_a_success_that_is_too_old(lake: Lake, show: Show, tmp_path: Path) -> None:
    """Exit 5 when the last is older, or there was none; a run with nothing new is one, a failed one is not."""
    assert show("--max-age", "1d")[0] == 5
    keep_report(lake.filesystem, NEVER, 9)
    assert show("--max-age", "1d")[0] == 5
    assert show("--max-age", "99999d")[0] == 0
    keep_report(lake.filesystem, {**NEVER, "timestamp": "2021-01-01T00:00:00.000Z", "exitStatus": 3}, 9)
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


def reported(at: str, **starts: dict[str, int]) -> dict[str, Any]:
    """The report of a run that ended then, and where it saw logs begin."""
    return {**NEVER, "timestamp": at, "durationMs": {"run": 0}, "sources": [{"earliestOffset": starts}]}


NOW = 1_577_840_400_000  # 2020-01-01T01:00:00Z


def test_the_rate_at_which_logs_begin_later() -> None:
    """By the oldest report that knows the partition; one that another topic had, or of the future, says nothing."""
    found = [Row("t", p, 1000, 500, 2000, 2000) for p in range(4)]
    earlier = [
        reported("2020-01-01T00:00:00Z", t={"0": 140, "1": 900}, other={"0": 1}),
        {**NEVER, "sources": "nonsense"},
        reported("2020-01-01T00:30:00Z", t={"0": 0, "1": 320}),
        reported("2020-01-01T02:00:00Z", t={"2": 0}),
    ]
    assert rates(found, NOW, earlier) == {TopicPartition("t", 0): 0.1, TopicPartition("t", 1): 0.1}

    def no_more() -> Any:
        yield reported("2020-01-01T00:00:00Z", t={"0": 140})
        raise AssertionError

    assert rates(found[:1], NOW, no_more()) == {TopicPartition("t", 0): 0.1}


@pytest.mark.parametrize(
    ("row", "left"),
    [
        (Row("t", 0, 1000, 500, 2000, 2000), 5000.0),
        (Row("t", 0, 500, 500, 2000, 2000), 0.0),
        (Row("t", 0, 499, 500, 2000, 2000), 0.0),
        (Row("t", 0, 2000, 500, 2000, 2000), None),
        (Row("t", 1, 1000, 500, 2000, 2000), None),
        (Row("t", 2, 1000, 500, 2000, 2000), None),
        (Row("t", 1, 499, 500, 2000, 2000), 0.0),
        (Row("t", 0, None, 500, 2000, 2000), None),
        (Row("t", 0, 1000), None),
    ],
)
def test_time_left(row: Row, left: float | None) -> None:
    """Distance over rate; none where the log stands still or nothing waits, 0 where the record is gone."""
    assert time_left(row, {TopicPartition("t", 0): 0.1, TopicPartition("t", 1): 0.0}) == left


def test_a_monitor_is_warned_before_records_are_lost(
    lake: Lake, show: Show, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 5 with the partition, by the first of the kept reports; what is not known, or far away, is no warning."""
    lake.run(1)
    assert show("--warn-below", "1d")[0] == 0
    keep_report(lake.filesystem, reported("2020-01-01T00:00:00.000Z", orders={"0": 0, "1": 0, "2": 0}), 9)
    keep_report(lake.filesystem, reported("2021-01-01T00:00:00.000Z", orders={"0": 4}), 9)
    (row, still, new) = json.loads(show("--format", "json")[1])["partitions"]
    assert row["timeLeft"] > 5 * 365 * 86_400  # six of ten offsets, at four in more than six years
    assert (still["timeLeft"], new["timeLeft"]) == (None, None)
    status, said = show("--warn-below", "99999d")
    assert status == 5
    assert "before Kafka has deleted records of orders-0" in said
    assert show("--warn-below", "365d")[0] == 0


def test_a_few_reports_from_all_of_the_time(lake: Lake) -> None:
    """The oldest and the newest are among them; each file is read once, whoever asks."""
    for n in range(9):
        keep_report(lake.filesystem, {**NEVER, "timestamp": f"2020-01-0{n + 1}T00:00:00.000Z"}, 99)
    kept = KeptReports(lake.filesystem)
    assert [r["timestamp"][9] for r in kept.spread()] == ["1", "6", "8", "9"]
    lake.filesystem.delete("_runs/20200109T000000000Z-" + "0" * 32 + ".json")
    assert [r["timestamp"][9] for r in kept.newest()][:1] == ["9"]
    assert next(KeptReports(lake.filesystem).newest())["timestamp"][9] == "8"


def test_the_most_lagging_are_asked_for_their_next_record() -> None:
    """Only what a reader could get: neither what has expired, nor what an open transaction holds back."""
    asked = [
        *(Row("t", 0, 10, 0, 20, 15), Row("t", 1, 10, 0, 90, 90), Row("t", 2, 10, 11, 90, 90)),
        *(Row("t", 3, 10, 0, 90, 10), Row("t", 4, None, 0, 90, 90), Row("t", 5, 10)),
    ]
    assert [row.partition for row in most_lagging(asked)] == [1, 0]
    assert [row.partition for row in most_lagging(asked, 1)] == [1]


def test_without_a_job_file(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The store alone is enough for what it knows; a monitor that could see nothing is refused."""
    lake.run(1)
    lake.manager.reset({"orders": TopicState(TOPIC_ID, {0: 3, 1: 10})}, "ann, at noon: a test")
    store = ["--store", lake.store.url]
    assert show_offsets.main("", [*store, "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["currentOffset"] for row in said["partitions"]] == [3, 10]
    assert (said["lag"], said["sink"], said["lastReset"]) == (None, None, "ann, at noon: a test")
    assert show_offsets.main("", [*store, "--bootstrap-server", "localhost:1", "--warn-below", "1h"]) == 2
    assert "--warn-below" in capsys.readouterr().err


def test_only_what_is_asked_for(lake: Lake, show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    """Topics and partitions; what does not exist is refused with what is like it, and nothing is shown."""
    lake.run(1)
    said = json.loads(show("--format", "json", "--topic", "orders:0,2")[1])
    assert [row["partition"] for row in said["partitions"]] == [0, 2]
    assert show_offsets.main("", ["--store", lake.store.url, "--topic", "order", "--topic", "orders:7"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean orders?" in err
    assert "orders has no partition 7: it has 0 to 1" in err
