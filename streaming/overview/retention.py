"""How long until Kafka deletes what was not read yet: how fast logs have begun later, by the reports of earlier runs.

Pure.  An average over all the time for which reports are kept: a log gives up whole segments, so it moves in jumps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from offsets.structs import TopicPartition
from streaming.overview.values import Row, end_of

Rates = Mapping[TopicPartition, float]  # offsets a second


def rates(rows: Iterable[Row], now: int, earlier: Iterable[Mapping[str, Any]]) -> Rates:
    """Of every partition of which one of the `earlier` reports, oldest first, tells where its log began.

    No more reports are asked for than it takes.  A log that began later then than now is another one, and says nothing.
    """
    starts = {row.at: row.start for row in rows if row.start is not None}
    found: dict[TopicPartition, float] = {}
    for report in earlier:
        seconds = (now - (end_of(report) or now)) / 1000
        for at, then in log_starts(report).items():
            if seconds > 0 and at in starts and at not in found and then <= starts[at]:
                found[at] = (starts[at] - then) / seconds
        if len(found) == len(starts):
            break
    return found


def time_left(row: Row, rates: Rates) -> float | None:
    """Seconds until the partition's log begins behind its next record; 0 once it does.

    None where that is not known, where nothing is to be read, and where the log does not move.
    """
    if row.current is None or row.start is None or row.end is None or row.current >= row.end:
        return None
    if row.current < row.start:
        return 0.0
    rate = rates.get(row.at, 0.0)
    return (row.current - row.start) / rate if rate > 0 else None


def log_starts(report: Mapping[str, Any]) -> dict[TopicPartition, int]:
    """Where logs began when that run ended; nothing if it does not say, or is not one of ours."""
    try:
        topics = report["sources"][0]["earliestOffset"]
        return {TopicPartition(t, int(p)): int(start) for t, ps in topics.items() for p, start in ps.items()}
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return {}
