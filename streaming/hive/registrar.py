"""Registers tables and partitions with Hive after their batch is committed.  Driver only, in a thread of its own.

It can neither fail nor delay a batch: what the metastore refuses, or does not answer, is logged and tried again, in
this run or by the next one, from the batch log.  How far it came stands in the sink as `_hive/<seq>`: all below it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import Protocol

from offsets import codec
from offsets.filesystems import Filesystem
from offsets.structs import Manifest
from streaming.hive.tables import Partition, Place, add_partitions, create_table, partitions_of
from streaming.sinks.names import BATCHES
from streaming.sinks.notes import numbered

log = logging.getLogger(__name__)

MARKS = "_hive"
MARK_SECONDS = 60.0  # a mark costs three requests, and a mark too old only a few entries read again
AT_ONCE = 100  # partitions of one statement
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries

Columns = Callable[[str, Manifest], Iterable[tuple[str, str]]]  # (table, manifest) -> (column, Hive type)


class Catalog(Protocol):
    """Where statements go: Spark's SQL with Hive support, or a test's list."""

    def run(self, statement: str) -> None:
        """Raises whatever the metastore, or the way to it, has to say."""


class Marks:
    """`_hive/<seq>` in the sink: every batch below `seq` is registered."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem

    def read(self) -> int:
        """0 if nothing was ever registered."""
        return max((int(name) for name in numbered(self._filesystem, MARKS)), default=0)

    def write(self, seq: int) -> None:
        """Adds the mark, then takes older ones away."""
        older = [name for name in numbered(self._filesystem, MARKS) if int(name) < seq]
        with suppress(FileExistsError):
            self._filesystem.create(f"{MARKS}/{seq:010d}").close()
        for name in older:
            self._filesystem.delete(f"{MARKS}/{name}")

    def unregistered(self, until: int) -> Iterator[Manifest]:
        """From the batch log: the batches from the mark to `until` (exclusive), as far as the log still has them."""
        begin = self.read()
        for generation in numbered(self._filesystem, BATCHES) if begin < until else ():
            folder = f"{BATCHES}/{generation}"
            for status in self._filesystem.list(folder, after=f"{begin:010d}"):
                if begin <= _seq(status.name) < until:
                    path = f"{folder}/{status.name}"
                    yield codec.decode_manifest(self._filesystem.read(path), path)


class HiveRegistrar:
    """`committed` hands a batch over and returns at once.  `close` gives what is left some time."""

    def __init__(
        self,
        catalog: Catalog,
        place: Place,
        columns: Columns,
        marks: Marks,
        until: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._place, self._columns, self._marks = catalog, place, columns, marks
        self._clock, self._until = clock, until
        self._queue: queue.SimpleQueue[Manifest | None] = queue.SimpleQueue()
        self._known: set[Partition] = set()
        self._tables: set[str] = set()
        self._done, self._marked_at = 0, clock()
        self._refused = False  # the last thing that was tried
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hive", daemon=True)
        self._thread.start()

    def committed(self, manifest: Manifest) -> None:
        self._queue.put(manifest)

    def close(self, seconds: float) -> None:
        """Never raises.  Waits so long while the metastore answers, and a sixth of it while it does not.

        What is not registered by then is left to the next run, and the log says so.
        """
        began = self._clock()
        self._queue.put(None)
        while self._thread.is_alive() and self._clock() - began < (seconds / 6 if self._refused else seconds):
            self._thread.join(0.05)
        self._closing.set()
        if self._thread.is_alive():
            log.warning("Hive: not all partitions are registered; the next run goes on with them")

    def _work(self) -> None:
        self._patiently(self._catch_up)
        while not self._closing.is_set() and (manifest := self._queue.get()) is not None:
            self._patiently(partial(self._register, manifest))
        self._patiently(self._mark)

    def _catch_up(self) -> None:
        """What an earlier run could not register, or was killed before it did."""
        for manifest in self._marks.unregistered(self._until):
            self._register(manifest)

    def _register(self, manifest: Manifest) -> None:
        new = [p for p in partitions_of(manifest) if p not in self._known]
        for table, partitions in groupby(new, key=lambda p: p.table):
            self._add(table, list(partitions), manifest)
        self._done = manifest.seq + 1
        if self._clock() - self._marked_at > MARK_SECONDS:
            self._mark()

    def _add(self, table: str, partitions: list[Partition], manifest: Manifest) -> None:
        if table not in self._tables:
            self._catalog.run(create_table(self._place, partitions[0], self._columns(table, manifest)))
            self._tables.add(table)
        keyed = [p for p in partitions if p.values]
        for start in range(0, len(keyed), AT_ONCE):
            self._catalog.run(add_partitions(self._place, keyed[start : start + AT_ONCE]))
        self._known.update(partitions)

    def _mark(self) -> None:
        if self._done:
            self._marks.write(self._done)
        self._marked_at = self._clock()

    def _patiently(self, action: Callable[[], None]) -> None:
        """Until it works, or the run ends.  Every action may be done twice."""
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                action()
                self._refused = False
                return
            except Exception as e:
                self._refused = True
                told = str(e).strip().splitlines() or [repr(e)]
                log.warning("Hive: not registered yet, trying again in %g s: %s", pause, told[0][:300])
            self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def _seq(name: str) -> int:
    stem = name.removesuffix(".json")
    return int(stem) if stem.isdecimal() else -1
