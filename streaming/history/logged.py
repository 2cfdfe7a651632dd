"""What a sink knows of a register's past: batch log, records of losses, reports of runs.  Reads; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from offsets.errors import StateDamagedError
from offsets.events import TAKEOVER, Event
from offsets.filesystems import Filesystem
from offsets.history import of_log
from offsets.structs import LossRecord, Manifest, Owner, State
from streaming.sinks.batch_log import logged_numbers, newest_batch
from streaming.sinks.losses import loss_generations, read_losses
from streaming.sinks.names import BATCHES
from streaming.sinks.notes import numbered
from streaming.sinks.runs import reports
from streaming.verification.reading import entries, reset_trace, resets

T = TypeVar("T")


@dataclass(frozen=True)
class SinkLog:
    """`register`: as it is now, None if it is lost.  `begin`: batches before that number are of no interest.

    `notes`: what cannot be shown is added, a line each.
    """

    sink: Filesystem
    register: State | None
    begin: int
    limit: int
    notes: list[str]

    def events(self) -> list[Event]:
        """Of the newest `limit` batches, and of as many resets, losses and runs; of another application's none."""
        begins = list(self._begins())
        found = [*begins, *self._batches(begins)]
        app = self.register.app if self.register else found[0].app if found else None
        if strangers := sum(each.app != app for each in found):
            self.notes.append(f"{self.sink.url}: entries of the batch log that are another application's: {strangers}")
        records = [record for record in self._losses() if record.app == app]
        mine = of_log([each for each in found if each.app == app], records, self.register)
        return [*mine, *takeovers(islice(reports(self.sink), self.limit))]

    def _batches(self, begins: list[Manifest]) -> Iterator[Manifest]:
        """Also the last one before each generation that begins by a reset: it says where that was."""
        begin = max(self.begin, self._end() - self.limit)
        last = {(begun.generation - 1, begun.seq) for begun in begins}
        for entry in entries(self.sink, sorted(self._listed(begin) | last)):
            if entry and entry.manifest:
                yield entry.manifest
            elif entry:
                self.notes.append(entry.damage)

    def _listed(self, begin: int) -> set[tuple[int, int]]:
        """Batches are numbered without a gap, over generations too, so older names are not even listed."""
        generations = [int(name) for name in numbered(self.sink, BATCHES)][-self.limit :]
        return {(generation, seq) for generation in generations for seq in logged_numbers(self.sink, generation, begin)}

    def _end(self) -> int:
        """The number that comes next."""
        if self.register is not None:
            return self.register.seq
        newest = self._read(lambda: newest_batch(self.sink))
        return newest.manifest.seq + 1 if newest else 0

    def _begins(self) -> Iterator[Manifest]:
        for generation in resets(self.sink)[-self.limit :]:
            if trace := self._read(lambda g=generation: reset_trace(self.sink, g)):  # type: ignore[misc]
                yield trace

    def _losses(self) -> Iterator[LossRecord]:
        for generation in loss_generations(self.sink)[-self.limit :]:
            if record := self._read(lambda g=generation: read_losses(self.sink, g)):  # type: ignore[misc]
                yield record

    def _read(self, read: Callable[[], T]) -> T | None:
        """None for a file that is damaged, which is noted, or was deleted just now."""
        try:
            return read()
        except FileNotFoundError:
            return None
        except StateDamagedError as e:
            self.notes.append(str(e))
            return None


def takeovers(found: Iterator[Mapping[str, Any]]) -> Iterator[Event]:
    """Of runs whose report says so; a run that was killed has left none."""
    for report in found:
        try:
            if took := report.get("takeover"):
                yield _takeover(took, str(report["runId"]))
        except (KeyError, TypeError, ValueError):  # not one of ours
            continue


def _takeover(took: Mapping[str, Any], run_id: str) -> Event:
    at = round(datetime.fromisoformat(took["timestamp"]).timestamp() * 1000)
    owner = Owner(str(took["host"]), int(took["pid"]), str(took["since"]), run_id)
    return Event(TAKEOVER, int(took["generation"]), int(took["nextBatch"]), int(took["epoch"]), at, owner)
