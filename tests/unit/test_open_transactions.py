"""What open transactions hold back: how much, since when, and when it is worth a warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from offsets.errors import SinkError, UnavailableError
from offsets.snapshot import TopicSnapshot
from streaming.source.open_transactions import AGAIN_SECONDS, FROZEN_SECONDS, TransactionWatch, held_back, reported

START = 1_700_000_000.0


def seen(stable: int, high: int) -> dict[str, TopicSnapshot]:
    return {"t": TopicSnapshot("id", {0: (0, stable), 1: (0, 5)}, high_watermarks={0: high, 1: 5})}


def test_what_is_held_back_and_since_when() -> None:
    """Only partitions with records behind the last stable offset; `since` stays until that offset moves."""
    first = held_back(seen(10, 14), {}, START)
    assert first == {
        "t": {"0": {"lastStableOffset": 10, "lastStableOffsetLag": 4, "since": "2023-11-14T22:13:20+00:00"}}
    }
    later = held_back(seen(10, 20), first, START + 100)
    assert (later["t"]["0"]["since"], later["t"]["0"]["lastStableOffsetLag"]) == (first["t"]["0"]["since"], 10)
    assert held_back(seen(11, 20), later, START + 100)["t"]["0"]["since"] == "2023-11-14T22:15:00+00:00"
    assert held_back(seen(20, 20), later, START + 100) == {}


def warned(watch: TransactionWatch, caplog: pytest.LogCaptureFixture, stable: int, high: int) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        watch.see(seen(stable, high))
    return [record.getMessage() for record in caplog.records]


def test_a_warning_only_while_nothing_moves(caplog: pytest.LogCaptureFixture) -> None:
    """A transaction under way is no news; one that stands still is, once and then now and again."""
    now = [START]
    watch = TransactionWatch(dict, lambda: now[0])
    assert not warned(watch, caplog, 10, 14)
    now[0] += FROZEN_SECONDS
    assert not warned(watch, caplog, 11, 14), "it has moved"
    now[0] += FROZEN_SECONDS
    (line,) = warned(watch, caplog, 11, 15)
    assert "t-0: an open transaction holds back 4 records from offset 11 on, since 2023-11-14T22:14:20" in line
    now[0] += 1
    assert not warned(watch, caplog, 11, 15)
    now[0] += AGAIN_SECONDS
    assert len(warned(watch, caplog, 11, 16)) == 1
    assert not warned(watch, caplog, 16, 16)
    assert watch.held == {}


def test_it_goes_on_from_the_last_run(caplog: pytest.LogCaptureFixture) -> None:
    """A run of a second warns of what an earlier one has seen, and asks for its report only if something is held."""
    asked: list[int] = []

    def before() -> Any:
        asked.append(1)
        return held_back(seen(10, 14), {}, START)

    watch = TransactionWatch(before, lambda: START + FROZEN_SECONDS)
    assert not warned(watch, caplog, 14, 14)
    assert not asked
    assert len(warned(watch, caplog, 10, 14)) == 1
    assert asked == [1]


@pytest.mark.parametrize(
    "report",
    [{}, {"sources": []}, {"sources": [{"openTransactions": {"t": 1}}]}, {"sources": [{"openTransactions": None}]}]
    + [{"sources": [{"openTransactions": {"t": {"0": {"since": since}}}}]} for since in ("long ago", 5, None)],
)
def test_foreign_reports_are_passed_over(report: dict[str, Any]) -> None:
    """What is not a report of ours says nothing."""
    assert reported(iter([report])) == {}
    assert reported(iter(())) == {}


@pytest.mark.parametrize("refusal", [UnavailableError("away"), SinkError("no rights"), OSError("bad disk")])
def test_reports_that_cannot_be_read_stop_no_run(refusal: Exception) -> None:
    """They only tell since when: what keeps them away is no reason to read nothing."""

    def refused() -> Iterator[dict[str, Any]]:
        raise refusal
        yield {}

    assert reported(refused()) == {}
