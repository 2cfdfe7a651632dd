"""How a run heeds the pause switch: looked at before the lock is waited for, then every few seconds beside the batches.

Never in a batch's way: a look that fails, or hangs, is no reason to stop anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from offsets.errors import StreamError
from offsets.filesystems import Filesystem
from streaming.sinks.file import PROBE_SECONDS
from streaming.sinks.parallel import answered
from streaming.sinks.pause import Pause, paused

log = logging.getLogger(__name__)
LOOK_SECONDS = 3.0


def pause_in_force(filesystem: Filesystem, seconds: float = PROBE_SECONDS) -> Pause | None:
    """The pause, if there is one.  UnavailableError if the sink does not say so within `seconds`."""
    return answered(filesystem.url, seconds, lambda: paused(filesystem))


class PauseWatch:
    """Inside the block, calls `drain` once when somebody pauses the job; `seen` is that pause."""

    def __init__(self, filesystem: Filesystem, drain: Callable[[], None], every: float = LOOK_SECONDS) -> None:
        self._filesystem, self._drain, self._every = filesystem, drain, every
        self._over = threading.Event()
        self.seen: Pause | None = None

    def __enter__(self) -> PauseWatch:
        threading.Thread(target=self._watch, name="pause-watch", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._every):
            with suppress(StreamError, OSError):
                self.seen = paused(self._filesystem)
            if self.seen:
                log.info("%s; the batch in flight is finished first", self.seen)
                self._drain()
                return
