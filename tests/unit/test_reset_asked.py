"""What reset_offsets.py takes for an answer: times, durations, files, partitions; every mistake at once."""

from __future__ import annotations

import argparse
import io
import json
import shlex
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offsets.errors import ConfigError, StreamError
from offsets.reset_modes import ShiftBy, ToOffset, ToOffsets, ToTime
from offsets.structs import TopicPartition
from streaming.commands.reset_offsets import arguments, to_execute
from streaming.config.scope import scope_of, spans, within
from streaming.resetting.asking import Asked, asked, reset_arguments
from streaming.resetting.exporting import export
from streaming.resetting.files import csv_text, json_text, read_offsets
from streaming.resetting.times import duration, moment, told

NOON = 1763726400000  # 2025-11-21T12:00:00Z


@pytest.mark.parametrize(
    ("text", "time_ms"),
    [
        ("2025-11-21T12:00:00.000", NOON),
        ("2025-11-21T12:00:00.000Z", NOON),
        ("2025-11-21T12:00:00", NOON),
        ("2025-11-21T13:30:00.005+01:30", NOON + 5),
        ("2025-11-21T13:00:00.000+01", NOON),
        ("2025-11-21T11:00:00.000-0100", NOON),
    ],
)
def test_moments(text: str, time_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the machine is."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert moment(text) == time_ms
    time.tzset()


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("2026-02-30T10:00:00.000", "2026-02-28T10:00:00.000"),
        ("2026-11-21", "2026-11-21T00:00:00.000"),
        ("2026-11-21 9:30", "2026-11-21T09:30:00.000"),
        ("2026-13-01T25:61:00.000+01:00", "2026-12-01T23:59:00.000+01:00"),
        ("2026/11/21 09:30:00", "2026-11-21T09:30:00.000"),
        (str(NOON), "2025-11-21T12:00:00.000Z"),
    ],
)
def test_a_mistyped_moment_names_the_nearest(text: str, near: str) -> None:
    """And that one is taken."""
    with pytest.raises(ValueError, match=r"must be a time like .*; did you mean") as refused:
        moment(text)
    assert str(refused.value).endswith(f"did you mean {near}?")
    moment(near)


@pytest.mark.parametrize("text", ["", "noon", "1969-12-31T23:59:59.999", "21.11.2026", "2026-11-21T09:30:00.1234"])
def test_what_is_no_moment(text: str) -> None:
    """Before 1970 Kafka would take the number for something else."""
    with pytest.raises(ValueError, match="must"):
        moment(text)


@given(st.text(alphabet="0123456789-T:.Z+ PDHMSWY", max_size=30))
def test_no_text_is_a_defect(text: str) -> None:
    """Whatever is typed is taken or refused; what is suggested is taken."""
    for parse in (moment, duration):
        try:
            parse(text)
        except ValueError as e:
            _, meant, near = str(e).partition("did you mean ")
            if meant:
                parse(near.rstrip("?"))


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_that_is_told_is_taken(time_ms: int) -> None:
    assert moment(told(time_ms)) == time_ms


def test_durations() -> None:
    """As Java's Duration takes them; weeks beside them."""
    hour = 3_600_000
    assert [duration(t) for t in ("P1DT2H", "PT90M", "PT1.5S", "P7D")] == [26 * hour, 90 * 60_000, 1500, 168 * hour]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("1DT2H", "P1DT2H"),
        ("90m", "PT90M"),
        ("P1M", "PT1M"),
        ("P1D2H", "P1DT2H"),
        ("2w", "P14D"),
        ("1 day 3h", "P1DT3H"),
    ],
)
def test_a_mistyped_duration_names_the_nearest(text: str, near: str) -> None:
    with pytest.raises(ValueError, match="must be a duration") as refused:
        duration(text)
    assert str(refused.value).endswith(f"did you mean {near}?")
    duration(near)


@pytest.mark.parametrize("text", ["", "P", "P1Y", "-P1D", "PT0S", "yesterday"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        duration(text)


OFFSETS = {"a": {0: 5, 10: 0}, "b.c": {3: 2**62}}
LINES = {TopicPartition("a", 0): 1, TopicPartition("a", 10): 2, TopicPartition("b.c", 3): 3}


def test_files_are_read_as_they_are_written() -> None:
    """Both forms, by their content; the JSON is that of source.startingOffsets."""
    assert read_offsets(csv_text(OFFSETS), "f") == ToOffsets(OFFSETS, LINES)
    assert read_offsets(json_text(OFFSETS), "f").offsets == OFFSETS
    assert json.loads(json_text(OFFSETS)) == {"a": {"0": 5, "10": 0}, "b.c": {"3": 2**62}}


def test_files_of_kafkas_tool() -> None:
    """One group's export, or several groups' with one left; quoted as Jackson quotes, with either end of line."""
    assert read_offsets("a,0,5\r\na,10,0\r\n\r\n", "f").offsets == {"a": {0: 5, 10: 0}}
    assert read_offsets('"my group",a,0,5\n"my group","a",10,0\n', "f").offsets == {"a": {0: 5, 10: 0}}


def test_json_ends() -> None:
    """As in source.startingOffsets; in Kafka's CSV a negative number means nothing."""
    assert read_offsets('{"a": {"0": -2, "1": -1}}', "f").offsets == {"a": {0: -2, 1: -1}}
    with pytest.raises(ConfigError, match="line 1: '-1' is no offset"):
        read_offsets("a,0,-1", "f")


def test_every_mistake_of_a_csv_with_its_line() -> None:
    text = "a,0,5\na,zero,5\n\na,0,7\nb,1\ng,a,1,2\nh,a,2,x\n"
    with pytest.raises(ConfigError) as refused:
        read_offsets(text, "plan.csv")
    assert [problem.removeprefix("--from-file plan.csv: ") for problem in refused.value.problems] == [
        "line 5: expected topic,partition,offset, found 'b,1'",
        "it has the offsets of several groups, keep one: 'g' (line 6), 'h' (line 7)",
        "line 2: 'zero' is no partition",
        "line 4: a-0 stands in line 1 already",
        "line 7: 'x' is no offset",
    ]


def test_every_mistake_of_a_json_with_its_line() -> None:
    text = '{"a": {"0": 5,\n "0": 6, "01": 1,\n "2": [1], "3": "4"},\n "b": 7,\n "c": {"0": -3}, "\\ud800": {"0": 1}}'
    with pytest.raises(ConfigError) as refused:
        read_offsets(text, "plan.json")
    assert [problem.removeprefix("--from-file plan.json: ") for problem in refused.value.problems] == [
        'line 4: b must have its offsets by partition, like {"0": 23}',
        "line 2: a-0 stands in line 1 already",
        "line 2: '01' is no partition",
        "line 3: '[' is no offset, nor -2 (earliest) or -1 (latest)",
        "line 3: '\"4\"' is no offset, nor -2 (earliest) or -1 (latest)",
        "line 5: '-3' is no offset, nor -2 (earliest) or -1 (latest)",
        "line 5: '\\ud800' is no topic name",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no offsets"),
        ("{}", "names no offsets"),
        ('{"a":\n {"0" 1}}', "line 2: "),
        ("{" * 9999, "line 1|too deep"),
        ('a,0,1\n"b,0,2\n' + "b,1,2\n" * 30_000, "line .*field larger"),
        ("a,0,1\rb,0,2", "line 1: new-line"),
    ],
)
def test_what_is_no_file_of_offsets(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read_offsets(text, "f")


@given(st.text(alphabet='{}[]":,0123456789ab\n\\-', max_size=40))
def test_no_file_is_a_defect(text: str) -> None:
    """Whatever it holds, it is taken or refused."""
    with suppress(ConfigError):
        assert read_offsets(text, "f").offsets


def test_partitions() -> None:
    assert scope_of(["a", "b:1,0", "b:7", "c:1", "c"]) == {"a": None, "b": frozenset({0, 1, 7}), "c": None}
    assert scope_of(["c", "c:1"]) == {"c": None}
    existing = {"a": [1, 0], "b": range(9), "c": [4]}
    assert within(scope_of(["b:7,3", "a"]), existing) == {"a": [0, 1], "b": [3, 7]}
    assert (spans([]), spans([3, 0, 1, 2, 7])) == ("none", "0 to 3, 7")


def test_every_mistyped_partition_names_what_is_near() -> None:
    with pytest.raises(ConfigError) as refused:
        scope_of(["a:", "a:1,", "a b", "ok", "x:-1"])
    assert len(refused.value.problems) == 4
    with pytest.raises(ConfigError) as refused:
        within(scope_of(["order", "payments:3,9"]), {"orders": [0], "payments": [0, 1, 2, 3]})
    assert refused.value.problems == (
        "topic order is neither in the register nor read by the job; did you mean orders?",
        "payments has no partition 9: it has 0 to 3",
    )
    with pytest.raises(ConfigError, match="line 4: orders has no partition 5: it has 0"):
        within({"orders": frozenset({5})}, {"orders": [0]}, {TopicPartition("orders", 5): 4})


def ask(*argv: str) -> Asked:
    parser = argparse.ArgumentParser()
    reset_arguments(parser)
    parser.add_argument("--execute", action="store_true")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--export")
    return asked(parser.parse_args(argv))


def test_what_is_asked() -> None:
    assert ask("--to-offset", "5", "--topic", "a:0") == Asked(ToOffset(5), {"a": frozenset({0})}, "--to-offset 5")
    assert ask("--shift-by", "-5", "--all-topics").mode == ShiftBy(-5)
    assert ask("--to-datetime", "2025-11-21T12:00:00.000", "--all-topics").mode == ToTime(NOON)
    assert ask("--export", "f") == Asked(None, None)
    assert ask("--to-earliest", "--all-topics").reason("because") == "--to-earliest; because"


@pytest.mark.parametrize("target", ["/", "."])
def test_what_is_no_file_to_export_to(target: str) -> None:
    with pytest.raises(StreamError, match=f"--export {target}: "):
        export(OFFSETS, target)


def test_the_printed_command_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export belongs to the dry run; what came from stdin is not there a second time."""

    def printed(*words: str) -> list[str]:
        given = arguments("").parse_args(words)
        mode = asked(given).mode
        assert mode
        return shlex.split(to_execute(given, words, mode))

    words = ("my job.cfg", "--topic", "a:0", "--shift-by", "-5", "--export", "plan.csv", "--format", "json")
    assert printed(*words) == ["reset_offsets.py", *words[:5], *words[-2:], "--execute"]
    assert printed("--job", "j", "--exp=f", "--all-topics", "--to-latest")[1:3] == ["--job", "j"]
    monkeypatch.setattr("sys.stdin", io.StringIO("a,0,5\na,1,7\n"))
    echo, text, pipe, *command = printed("j", "--from", "-", "--set", "a.b=it's")
    assert (echo, json.loads(text), pipe) == ("echo", {"a": {"0": 5, "1": 7}}, "|")
    assert command == ["reset_offsets.py", "j", "--from", "-", "--set", "a.b=it's", "--execute"]
    assert arguments("").parse_args(command[1:]).execute


def test_so_long_before_now() -> None:
    before = time.time_ns() // 1_000_000
    mode = ask("--by-duration", "PT1H", "--all-topics").mode
    after = time.time_ns() // 1_000_000
    assert isinstance(mode, ToTime)
    assert before <= mode.time_ms + 3_600_000 <= after


def test_a_file_says_what_to_move_and_options_restrict_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plan"
    file.write_bytes(b"\xef\xbb\xbf" + json_text(OFFSETS).encode())
    whole = {"a": frozenset({0, 10}), "b.c": frozenset({3})}
    assert ask("--from-file", str(file)).scope == ask("--from-file", str(file), "--all-topics").scope == whole
    assert ask("--from-file", str(file), "--topic", "a:10").scope == {"a": frozenset({10})}
    with pytest.raises(ConfigError) as refused:
        ask("--from-file", str(file), "--topic", "a:10,11", "--topic", "z")
    assert refused.value.problems == (
        "--topic a: the file says nothing about its partitions 11",
        "--topic z: the file says nothing about it",
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("a,0,5"))
    assert ask("--from-file", "-").mode == ToOffsets({"a": {0: 5}}, {TopicPartition("a", 0): 1})


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--to-earliest"], ["say what to reset"]),
        (["--all-topics"], ["say where to"]),
        (["--all-topics", "--execute"], ["--execute: say where to"]),
        (["--all-topics", "--to-latest", "--force"], ["--force: goes with"]),
        (["--all-topics", "--to-latest", "--execute", "--export", "f"], ["--export: not with --execute"]),
        (["--topic", "a:x", "--to-offset", "-1"], ["--to-offset -1: must be an offset", "--topic a:x: give"]),
        (["--topic", "a", "--shift-by", "1.5"], ["--shift-by 1.5: must be a whole number"]),
        (["--from-file", "/nowhere", "--topic", "a:"], ["--from-file /nowhere: ", "--topic a:: give"]),
    ],
)
def test_every_mistake_at_once(argv: list[str], why: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        ask(*argv)
    assert len(refused.value.problems) == len(why)
    assert all(problem.startswith(start) for problem, start in zip(refused.value.problems, why, strict=True))
