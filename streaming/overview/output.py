"""An overview as a table for people, and as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, TextIO

from offsets.structs import GIVEN_UP, Pending
from streaming.moments import ago, iso, span
from streaming.overview.values import Overview, Row
from streaming.run.progress import loss_objects
from streaming.tables import print_rows

COLUMNS = {
    "TOPIC": "topic",
    "PARTITION": "partition",
    "CURRENT-OFFSET": "currentOffset",
    "LOG-START-OFFSET": "logStartOffset",
    "LOG-END-OFFSET": "logEndOffset",
    "LAG": "lag",
    "LAST-STABLE-OFFSET": "lastStableOffset",
    "PENDING": "pending",
    "TIME-LAG": "timeLag",
    "TIME-LEFT": "timeLeft",
}
"""As people and CSV have them, and as JSON has them."""


def print_table(overview: Overview, file: TextIO) -> None:
    print_rows(list(COLUMNS), (_told(cells(row)) for row in overview.rows), file)
    for name, text in facts(overview):
        print(f"{name + ':':14} {text}", file=file)


def _told(cells: tuple[Any, ...]) -> tuple[Any, ...]:
    """The two times in a unit that fits."""
    *rest, lag, left = cells
    return (*rest, *(None if seconds is None else span(seconds) for seconds in (lag, left)))


def _pending(pending: Pending) -> str:
    if pending.manifest is None:
        return (
            f"of a direct sink may be written in part: {', '.join(map(str, pending.ranges))}; the next launch writes it"
        )
    return f"is prepared, {pending.manifest.files} files; the next launch finishes it"


def facts(overview: Overview) -> Iterator[tuple[str, str]]:
    """What stands below the table."""
    state, now = overview.register, overview.now
    yield "lag", "not known" if overview.lag is None else f"{overview.lag:,} records at most"
    if overview.behind_transactions:
        yield (
            "last stable",
            f"{overview.behind_transactions:,} records before the ends: open transactions hold them back",
        )
    if loss := overview.next_loss:
        yield (
            "time left",
            f"{span(loss.time_left or 0)} before Kafka has deleted records of {loss.topic}-{loss.partition}",
        )
    if state is None:
        yield "register", f"none in {overview.store}: the job was never launched, or its register is lost"
    else:
        yield "next batch", f"{state.seq} (generation {state.generation}, epoch {state.epoch})"
        if state.pending:
            yield "pending", f"batch {state.seq} {_pending(state.pending)} if no run does"
        if state.reason:
            yield "last reset", state.reason
        yield "last commit", moment(state.committed_ms, now)
    if overview.losses:
        told = ", ".join(map(str, overview.losses.losses))
        given_up = any(loss.kind == GIVEN_UP for loss in overview.losses.losses)
        how = "given up before" if given_up else "skipped by"
        yield "data loss", f"{told}, {how} generation {overview.losses.generation}"
    yield "last success", moment(overview.last_success, now)
    yield "held by", f"{overview.holder}; {movement(overview)}" if overview.holder else "nobody"
    if overview.pause:
        yield "paused", str(overview.pause)
    for line in (*overview.notes, *overview.unseen):
        yield "note", line


def movement(overview: Overview) -> str:
    return "the register moves" if overview.moves else "the register did not move while it was looked at"


def moment(time_ms: int | None, now: int) -> str:
    return f"{iso(time_ms)}, {ago(time_ms, now)}" if time_ms else "never"


def print_json(overview: Overview, file: TextIO) -> None:
    json.dump(as_json(overview), file)
    file.write("\n")


def as_json(overview: Overview) -> dict[str, Any]:
    """Names as in the run's own summary; times are ISO 8601, UTC, null for never."""
    state, holder = overview.register, overview.holder
    pending = state.pending if state else None
    return {
        "name": overview.job,
        "store": overview.store,
        "sink": overview.sink,
        "partitions": [dict(zip(COLUMNS.values(), cells(row), strict=True)) for row in overview.rows],
        "lag": overview.lag,
        "openTransactions": overview.held,
        "generation": state.generation if state else None,
        "epoch": state.epoch if state else None,
        "nextBatch": state.seq if state else None,
        "pending": {"ranges": [str(r) for r in pending.ranges]} if pending else None,
        "lastReset": (state.reason or None) if state else None,
        "lastCommit": iso(state.committed_ms) if state else None,
        "dataLoss": loss_objects(overview.losses) if overview.losses else [],
        "lastSuccess": iso(overview.last_success),
        "holder": {"host": holder.host, "pid": holder.pid, "since": holder.started} if holder else None,
        "moves": overview.moves,
        "paused": overview.pause and vars(overview.pause),
        "notes": [*overview.notes, *overview.unseen],
    }


def print_csv(overview: Overview, file: TextIO) -> None:
    """The partitions alone; what is not known is empty, times are seconds."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cells(row) for row in overview.rows)


def cells(row: Row) -> tuple[Any, ...]:
    """In the order of COLUMNS."""
    lag, left = (None if seconds is None else round(seconds, 3) for seconds in (row.time_lag, row.time_left))
    offsets = (row.topic, row.partition, row.current, row.start, row.end, row.lag)
    return (*offsets, row.stable, row.pending, lag, left)


FORMATS = {"table": print_table, "json": print_json, "csv": print_csv}
