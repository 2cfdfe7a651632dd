"""A reset, planned or done, as a table for people, and as JSON or CSV for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, TextIO

from offsets.reset import Move
from offsets.structs import State
from streaming.resetting.values import Done, GivenUp
from streaming.tables import print_rows

COLUMNS = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "NEW-OFFSET", "READ-AGAIN", "SKIPPED", "NOTE")


@dataclass(frozen=True)
class Report:
    """`register`: as the moves begin from it.  `done` None: nothing was written, and `command` would do it."""

    job: str
    store: str
    register: State
    moves: Sequence[Move]
    command: str = ""
    done: Done | None = None
    notes: Sequence[str] = ()
    given_up: GivenUp | None = None

    @property
    def again(self) -> int:
        return sum(move.again or 0 for move in self.moves)

    @property
    def skipped(self) -> int:
        return sum(move.skipped or 0 for move in self.moves)


def print_table(report: Report, file: TextIO) -> None:
    shown = len(COLUMNS) - (not any(move.note for move in report.moves))
    print_rows(COLUMNS[:shown], (move[:shown] for move in report.moves), file, ("TOPIC", "NOTE"))
    for name, text in facts(report):
        file.write(f"{name + ':' if name else '':14} {text}\n")


def facts(report: Report) -> Iterator[tuple[str, str]]:
    """What stands below the table."""
    yield "read again", _records(move.again for move in report.moves)
    yield "skipped", _records(move.skipped for move in report.moves)
    if unknown := [move for move in report.moves if move.again is None]:
        yield "not counted", f"{_counted(unknown)} that the register or Kafka does not have"
    if report.given_up:
        yield from _given_up(report.given_up, report.done is not None)
    for note in report.notes:
        yield "note", note
    if report.done is None:
        yield "not done", "nothing was written; to do it:"
        yield "", report.command
    else:
        yield from _done(report.done)


def _given_up(batch: GivenUp, is_done: bool) -> Iterator[tuple[str, str]]:
    """Exactly-once ends for it: what of it is there, and what others will say of that."""
    yield "given up", f"batch {batch.seq}{'' if is_done else ', by --execute'}: exactly-once ends for it; {batch.why}"
    yield from (("", str(range_)) for range_ in batch.ranges)
    if batch.direct:
        yield "visible", "not known: the sink may hold rows of these ranges, which it was writing"
    elif not batch.visible:
        yield "visible", "none of its files"
    else:
        twice = "what is read from NEW-OFFSET on stands twice with them"
        yield "visible", f"{len(batch.visible)} of its files are published; {twice}:"
        yield from (("", name) for name in batch.visible)
        yield "note", "verify_output.py calls these files foreign as long as they are there"
    if not batch.direct:
        yield "note", "a run that sleeps may publish more of them, until the next launch sweeps staging: end it first"
    yield "note", "verify_output.py tells these ranges as a known hole, no gap; an undo goes back to before this batch"


def _done(done: Done) -> Iterator[tuple[str, str]]:
    if done.redone:
        told = f"batch {done.redone.seq} was prepared: its {len(done.redone.files)} files were published first"
        yield "pending", told
    yield "done", f"generation {done.state.generation} begins here (epoch {done.state.epoch}): {done.state.reason}"
    if done.doubled.count:
        least = "" if done.doubled.complete else "at least "
        yield (
            "twice",
            f"{least}{done.doubled.count} published files hold records that are read again, the newest first:",
        )
        yield from (("", name) for name in done.doubled.files)
    for note in done.notes:
        yield "note", note
    yield "undo", done.undo_command


def _records(amounts: Iterable[int | None]) -> str:
    found = [amount for amount in amounts if amount]
    return f"{sum(found):,} records at most, of {_counted(found)}" if found else "nothing"


def _counted(partitions: Sized) -> str:
    return f"{len(partitions):,} partition{'' if len(partitions) == 1 else 's'}"


def print_json(report: Report, file: TextIO) -> None:
    json.dump(as_json(report), file)
    file.write("\n")


def as_json(report: Report) -> dict[str, Any]:
    """Null: cannot be told.  `done` is null after a dry run."""
    done = report.done
    return {
        "name": report.job,
        "store": report.store,
        "generation": (done.state if done else report.register).generation,
        "epoch": (done.state if done else report.register).epoch,
        "partitions": [
            {
                "topic": move.topic,
                "partition": move.partition,
                "currentOffset": move.current,
                "newOffset": move.new,
                "readAgain": move.again,
                "skipped": move.skipped,
                "note": move.note,
            }
            for move in report.moves
        ],
        "readAgain": report.again,
        "skipped": report.skipped,
        "notes": [*report.notes, *(done.notes if done else ())],
        "command": report.command,
        "givenUp": _given_up_json(report.given_up) if report.given_up else None,
        "done": _done_json(done) if done else None,
    }


def _given_up_json(batch: GivenUp) -> dict[str, Any]:
    ranges = [dict(zip(("topic", "partition", "fromOffset", "untilOffset"), r, strict=True)) for r in batch.ranges]
    return {
        "batch": batch.seq,
        "why": batch.why,
        "ranges": ranges,
        "visible": None if batch.direct else list(batch.visible),
    }


def _done_json(done: Done) -> dict[str, Any]:
    return {
        "reason": done.state.reason,
        "publishedBatch": done.redone.seq if done.redone else None,
        "doubled": {"count": done.doubled.count, "files": done.doubled.files, "complete": done.doubled.complete},
        "undo": done.undo_command,
    }


def print_csv(report: Report, file: TextIO) -> None:
    """The partitions alone; what cannot be told is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(report.moves)


FORMATS = {"table": print_table, "json": print_json, "csv": print_csv}
