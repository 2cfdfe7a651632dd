"""A history as a table for people, and as JSON or CSV for programs.  The newest stands last, above the prompt."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, TextIO

from offsets.events import RESET, Event, Move
from offsets.structs import LossRecord, Owner
from streaming.history.gathering import History
from streaming.moments import iso
from streaming.run.progress import loss_objects
from streaming.tables import print_rows

COLUMNS = ("TIME", "KIND", "GENERATION", "EPOCH", "BATCH", "OWNER", "WHAT")
CSV_COLUMNS = (*COLUMNS[:-1], "TOPIC", "PARTITION", "FROM-OFFSET", "UNTIL-OFFSET", "REASON")
SHOWN = 3  # moves of an event, in the table


class Told(NamedTuple):
    """A history, and of which job and places."""

    name: str
    store: str
    sink: str | None
    history: History


def print_table(told: Told, file: TextIO) -> None:
    rows = ((*head(event), ", ".join(filter(None, (moved(event), *reasons(event))))) for event in told.history.events)
    print_rows(COLUMNS, rows, file, left=("TIME", "KIND", "OWNER", "WHAT"))
    for line in (*told.history.notes, *told.history.unseen):
        file.write(f"note: {line}\n")


def print_csv(told: Told, file: TextIO) -> None:
    """A line a move; an event that moved nothing has one line all the same."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for event in told.history.events:
        for move in event.moves or (("", "", "", ""),):
            writer.writerow((*head(event), *move, "; ".join(reasons(event))))


def print_json(told: Told, file: TextIO) -> None:
    json.dump(as_json(told), file)
    file.write("\n")


def as_json(told: Told) -> dict[str, Any]:
    """Names as in a run's own summary; what is not known is null, also where nothing says what has moved."""
    history = told.history
    return {
        "name": told.name,
        "store": told.store,
        "sink": told.sink,
        "events": [_object(event) for event in history.events],
        "notes": [*history.notes, *history.unseen],
    }


def _object(event: Event) -> dict[str, Any]:
    return {
        "timestamp": iso(event.time_ms),
        "kind": event.kind,
        "generation": event.generation,
        "epoch": event.epoch,
        "batch": event.seq,
        "owner": event.owner and _owner(event.owner),
        "moves": None if event.moves is None else [_move(move) for move in event.moves],
        "reason": event.reason or None,
        "dataLoss": loss_objects(LossRecord("", event.generation, event.losses)),
        "numInputRows": event.records,
        "files": event.files,
    }


def _owner(owner: Owner) -> dict[str, Any]:
    return {"host": owner.host, "pid": owner.pid, "since": owner.started, "runId": owner.run_id}


def _move(move: Move) -> dict[str, Any]:
    return {
        "topic": move.topic,
        "partition": move.partition,
        "fromOffset": move.from_offset,
        "untilOffset": move.until_offset,
    }


def head(event: Event) -> tuple[Any, ...]:
    """All columns but the last ones, which differ."""
    owner = event.owner and f"{event.owner.pid}@{event.owner.host}"
    return iso(event.time_ms), event.kind, event.generation, event.epoch, event.seq, owner


def moved(event: Event) -> str:
    """For people: the first few moves, and how many more there are."""
    if event.moves is None:
        return "nobody knows from where" if event.kind == RESET else "nobody knows what has moved"
    shown = ", ".join(map(arrow if event.kind == RESET else span, event.moves[:SHOWN]))
    more = len(event.moves) - SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def span(move: Move) -> str:
    if move.from_offset is None:
        return f"{move.topic}-{move.partition} at {move.until_offset}"
    return f"{move.topic}-{move.partition}[{move.from_offset},{move.until_offset})"


def arrow(move: Move) -> str:
    begin, end = ("none" if offset is None else offset for offset in (move.from_offset, move.until_offset))
    return f"{move.topic}-{move.partition} {begin} to {end}"


def reasons(event: Event) -> Iterator[str]:
    if event.reason:
        yield event.reason
    yield from sorted({loss.kind for loss in event.losses})


FORMATS = {"table": print_table, "json": print_json, "csv": print_csv}
