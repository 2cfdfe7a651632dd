"""How far Hive was told, kept in the sink as `_hive/<seq>`: of every batch below `seq`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from offsets import codec
from offsets.filesystems import Filesystem
from offsets.structs import Manifest
from streaming.sinks.batch_log import logged_numbers
from streaming.sinks.names import BATCHES, batch_entry
from streaming.sinks.notes import numbered, write_new

MARKS = "_hive"


class Marks:
    """One job's mark.  Only the run that holds the lock writes it; a mark too old costs a second look, no harm."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem

    def read(self) -> int:
        """0 if Hive was never told of anything."""
        return max((int(name) for name in numbered(self._filesystem, MARKS)), default=0)

    def write(self, seq: int) -> None:
        """Adds the mark, then takes older ones away."""
        older = [name for name in numbered(self._filesystem, MARKS) if int(name) < seq]
        with suppress(FileExistsError):
            write_new(self._filesystem, f"{MARKS}/{seq:010d}", b"")
        for name in older:
            self._filesystem.delete(f"{MARKS}/{name}")

    def untold(self, until: int) -> Iterator[Manifest]:
        """From the batch log: the batches from the mark to `until` (exclusive), as far as the log still has them."""
        begin = self.read()
        for generation in numbered(self._filesystem, BATCHES) if begin < until else ():
            for number in logged_numbers(self._filesystem, int(generation), begin):
                if number < until:
                    path = batch_entry(int(generation), number)
                    yield codec.decode_manifest(self._filesystem.read(path), path)
