"""Registers tables and partitions with Hive after their batch is committed.  Driver only, in a thread of its own.

It can neither fail nor delay a batch: what the metastore refuses, or does not answer, is logged and tried again, in
this run or by the next one, from the batch log.  What is refused for one table keeps no other waiting.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from offsets.structs import Manifest
from streaming.hive.marks import Marks
from streaming.hive.tables import (
    Partition,
    Place,
    add_partitions,
    check_location,
    create_table,
    partitions_of,
    show_location,
)

log = logging.getLogger(__name__)

MARK_SECONDS = 60.0  # a mark costs three requests, and a mark too old only a few entries read again
AT_ONCE = 100  # partitions of one statement
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries
LOOK_SECONDS = 0.2  # how soon the thread sees that the run ends

Columns = Callable[[str, Manifest], Iterable[tuple[str, str]]]  # (table, manifest) -> (column, Hive type)
Group = tuple[str, tuple[str, ...]]  # a table and the columns of its partitions


class Catalog(Protocol):
    """Where statements go: Spark's SQL with Hive support, or a test's list."""

    def run(self, statement: str) -> Sequence[Sequence[Any]]:
        """The rows it gives.  Raises whatever the metastore, or the way to it, has to say."""


@dataclass
class Waiting:
    """Partitions of one group that Hive has yet to be told of.  `manifest`: of the newest batch with one of them."""

    manifest: Manifest
    partitions: set[Partition] = field(default_factory=set)


class HiveRegistrar:
    """`committed` hands a batch over and returns at once.  `close` gives what is left some time.

    `until`: the first batch that will be handed over; what the mark leaves below it comes from the batch log.
    """

    def __init__(
        self,
        catalog: Catalog,
        place: Place,
        columns: Columns,
        marks: Marks,
        until: int,
    ) -> None:
        self._catalog, self._place, self._columns, self._marks = catalog, place, columns, marks
        self._until = until
        self._queue: queue.SimpleQueue[Manifest | None] = queue.SimpleQueue()
        self._known: set[Partition] = set()
        self._waiting: dict[Group, Waiting] = {}
        self._seen, self._marked, self._marked_at = 0, 0, time.monotonic()
        self._pause, self._again_at, self._refused = FIRST_PAUSE, time.monotonic(), False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hive", daemon=True)
        self._thread.start()

    def committed(self, manifest: Manifest) -> None:
        self._queue.put(manifest)

    def close(self, seconds: float) -> None:
        """Never raises.  Waits so long while the metastore answers, and a sixth of it while it refuses.

        What is not registered by then is left to the next run, and the log says so.
        """
        began = time.monotonic()
        self._queue.put(None)
        while self._thread.is_alive() and time.monotonic() - began < (seconds / 6 if self._refused else seconds):
            self._thread.join(0.05)
        self._closing.set()
        if self._thread.is_alive():
            log.warning("Hive: not all partitions are registered; the next run goes on with them")

    def _work(self) -> None:
        behind, ended = True, False
        while not self._closing.is_set() and not (ended and not behind and not self._waiting):
            if not behind and not ended:
                ended = self._receive()
            if time.monotonic() < self._again_at:
                self._closing.wait(LOOK_SECONDS)
                continue
            behind = behind and not self._tried(self._catch_up)
            refused = [group for group in list(self._waiting) if not self._tried(partial(self._add, group))]
            self._back_off(behind or bool(refused))
        if not self._waiting and not behind:
            self._tried(partial(self._mark, 0.0))

    def _receive(self) -> bool:
        """Takes what was handed over; waits for it only if there is nothing else to do.  Whether that was all."""
        wait = 0.0 if self._waiting else LOOK_SECONDS
        try:
            while (manifest := self._queue.get(timeout=wait)) is not None:
                self._await(manifest)
                wait = 0.0
        except queue.Empty:
            return False
        return True

    def _catch_up(self) -> None:
        """What an earlier run could not register, or was killed before it did."""
        for manifest in self._marks.untold(self._until):
            self._await(manifest)
        self._seen = max(self._seen, self._until)  # the newest may have no entry, after a crash

    def _await(self, manifest: Manifest) -> None:
        for partition in partitions_of(manifest):
            if partition not in self._known:
                group = partition.table, tuple(column for column, _ in partition.values)
                waiting = self._waiting.setdefault(group, Waiting(manifest))
                waiting.manifest = manifest
                waiting.partitions.add(partition)
        self._seen = manifest.seq + 1

    def _add(self, group: Group) -> None:
        waiting = self._waiting[group]
        partitions = sorted(waiting.partitions)
        if not any(partition.table == group[0] for partition in self._known):
            self._catalog.run(create_table(self._place, partitions[0], self._columns(group[0], waiting.manifest)))
            check_location(self._place, group[0], self._catalog.run(show_location(self._place, group[0])))
        for start in range(0, len(partitions) if group[1] else 0, AT_ONCE):
            self._catalog.run(add_partitions(self._place, partitions[start : start + AT_ONCE]))
        self._known.update(partitions)
        del self._waiting[group]

    def _back_off(self, refused: bool) -> None:
        self._refused = refused
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if refused else FIRST_PAUSE
        self._again_at = time.monotonic() + (self._pause if refused else 0.0)
        if not refused:
            self._tried(partial(self._mark, MARK_SECONDS))

    def _mark(self, age: float) -> None:
        """Only while nothing waits."""
        if self._seen > self._marked and time.monotonic() - self._marked_at >= age:
            self._marks.write(self._seen)
            self._marked, self._marked_at = self._seen, time.monotonic()

    def _tried(self, action: Callable[[], None]) -> bool:
        """Whether it worked.  Every action may be done twice."""
        try:
            action()
        except Exception as e:
            told = str(e).strip().splitlines() or [repr(e)]
            log.warning("Hive: not registered yet, trying again in %g s: %s", self._pause, told[0][:300])
            return False
        return True
