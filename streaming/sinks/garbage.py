"""Driver: rule G.  Deletes staging of batches that can never be prepared again, and what dead launches left beside it.

May be stale, slow, killed or run twice: whatever it may delete stays deletable for ever.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator

from offsets.errors import StreamError
from offsets.failpoints import reach
from offsets.filesystems import Filesystem
from streaming.sinks.names import ASIDE, LEFTOVERS, STAGING
from streaming.sinks.notes import numbered

LOG = logging.getLogger(__name__)


def collect_garbage(filesystem: Filesystem, older_than: tuple[int, int]) -> None:
    """Deletes the staging of every batch older than (epoch, seq).  What servers refuse is logged and left.

    Only for a driver whose last register write succeeded and left nothing pending.
    """
    try:
        left = [entry.name for entry in filesystem.list(STAGING)]
        for directory in _old_directories(filesystem, left, *older_than):
            _collect(filesystem, directory)
        for name in left:
            if name.startswith((ASIDE, *LEFTOVERS)):
                filesystem.delete(f"{STAGING}/{name}", recursive=True)
    except (StreamError, OSError) as e:
        LOG.warning("staging of finished batches stays until the next batch: %s", e)


def _old_directories(filesystem: Filesystem, left: Iterable[str], epoch: int, seq: int) -> Iterator[str]:
    """Whole epochs before `epoch`, and the batches before `seq` in it."""
    epochs = [name for name in left if name.isdecimal()]
    yield from (f"{STAGING}/{name}" for name in epochs if int(name) < epoch)
    if str(epoch) in epochs:
        batches = numbered(filesystem, f"{STAGING}/{epoch}")
        yield from (f"{STAGING}/{epoch}/{name}" for name in batches if int(name) < seq)


def _collect(filesystem: Filesystem, directory: str) -> None:
    """Aside in one step first: a manifest must not outlive its files, or rule M would trust it."""
    aside = f"{STAGING}/{ASIDE}{uuid.uuid4().hex}"
    try:
        filesystem.rename_no_clobber(directory, aside)
    except FileNotFoundError:
        return  # another collector was here
    reach("gc.each")
    filesystem.delete(aside, recursive=True)
