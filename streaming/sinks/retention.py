"""Driver: how much of the batch log is kept.  Deletes the oldest entries by their number; the newest never goes.

Batches are numbered without a gap, over generations too, so nothing is listed but once behind a crash: HDFS takes
1,048,576 entries in a folder, and a listing of so many for each batch would be dear.
"""

from __future__ import annotations

import logging

from offsets.errors import SinkError, StreamError
from offsets.failpoints import reach
from offsets.filesystems import Filesystem
from streaming.sinks.batch_log import logged_numbers
from streaming.sinks.names import BATCHES, batch_entry
from streaming.sinks.notes import numbered

LOG = logging.getLogger(__name__)
KEEP_BATCHES = 100_000
AT_ONCE = 200  # after a setting was lowered the rest goes with the batches that follow


class BatchLogRetention:
    """Keeps the newest `keep` entries (at least one).  One driver's: it remembers what it has deleted."""

    def __init__(self, filesystem: Filesystem, keep: int = KEEP_BATCHES) -> None:
        self._filesystem, self._keep = filesystem, max(keep, 1)
        self._oldest: int | None = None  # whatever has a smaller number is gone
        self._generations: list[int] = []
        self._has_holes = False

    def prune(self, generation: int, seq: int) -> None:
        """`generation` and `seq`: of the batch that comes next.  What servers refuse is logged and left.

        Only for a driver whose last register write succeeded and left nothing pending.
        """
        end = seq - self._keep
        if end <= 0:
            return
        try:
            self._prune(generation, seq, end)
        except (StreamError, OSError) as e:
            LOG.warning("old entries of the batch log stay until the next batch: %s", e)

    def _prune(self, generation: int, seq: int, end: int) -> None:
        """Deletes the entries of numbers below `end`, once the newest is there."""
        if self._oldest is None or generation not in self._generations:
            self._generations = [int(name) for name in numbered(self._filesystem, BATCHES)]
        if self._oldest is None:
            if not self._is_there(seq - 1):  # lost under a weaker guarantee, perhaps after others: older ones stay
                self._has_holes = True
                return
            self._oldest = self._find_oldest(end)
            self._delete_empty(generation)
        for number in range(self._oldest, min(end, self._oldest + AT_ONCE)):
            reach("gc.each")
            for each in self._generations:
                self._filesystem.delete(batch_entry(each, number))
            self._oldest = number + 1

    def _find_oldest(self, end: int) -> int:
        """The smallest number below `end` that has an entry; `end` if there is none, as after an orderly run."""
        if not self._has_holes and not self._is_there(end - 1):
            return end
        logged = (n for each in self._generations for n in logged_numbers(self._filesystem, each))
        return min(min(logged, default=end), end)

    def _is_there(self, number: int) -> bool:
        return any(self._filesystem.status(batch_entry(each, number)) for each in self._generations)

    def _delete_empty(self, generation: int) -> None:
        """Folders of generations of which no entry is left."""
        for each in [g for g in self._generations if g < generation]:
            try:
                self._filesystem.delete(f"{BATCHES}/{each}")
            except SinkError:  # it is not empty
                continue
            self._generations.remove(each)
