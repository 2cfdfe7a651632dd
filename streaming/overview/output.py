"""An overview as a table for people, and as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from offsets.structs import Pending
from streaming.overview.values import Overview, Row, ago, iso
from streaming.run.progress import loss_objects

COLUMNS = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")


def print_table(overview: Overview, file: TextIO) -> None:
    console = Console(file=file, soft_wrap=True, highlight=False, markup=False)
    table = Table()
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "TOPIC" else "right", overflow="fold")
    for row in overview.rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in cells(row)))
    console.print(table)
    for name, text in facts(overview):
        console.print(f"{name + ':':14} {text}")


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
        yield "data loss", f"{told}, skipped by generation {overview.losses.generation}"
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
        "partitions": [
            {
                "topic": r.topic,
                "partition": r.partition,
                "currentOffset": r.current,
                "logEndOffset": r.end,
                "lag": r.lag,
            }
            for r in overview.rows
        ],
        "lag": overview.lag,
        "openTransactions": overview.held,
        "generation": state.generation if state else None,
        "epoch": state.epoch if state else None,
        "nextBatch": state.seq if state else None,
        "pending": {"ranges": [str(r) for r in pending.ranges]} if pending else None,
        "lastCommit": iso(state.committed_ms) if state else None,
        "dataLoss": loss_objects(overview.losses) if overview.losses else [],
        "lastSuccess": iso(overview.last_success),
        "holder": {"host": holder.host, "pid": holder.pid, "since": holder.started} if holder else None,
        "moves": overview.moves,
        "paused": overview.pause and vars(overview.pause),
        "notes": [*overview.notes, *overview.unseen],
    }


def print_csv(overview: Overview, file: TextIO) -> None:
    """The partitions alone; what is not known is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(cells(row) for row in overview.rows)


def cells(row: Row) -> tuple[Any, ...]:
    return (*row, row.lag)


FORMATS = {"table": print_table, "json": print_json, "csv": print_csv}
