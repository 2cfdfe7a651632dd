"""job.setup: what the job's function is given beside its records, once per worker process or once by the driver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from offsets.errors import BatchError
from streaming.transform.user_code import load, raised

if TYPE_CHECKING:
    from pyspark import Broadcast, SparkContext

WORKER, DRIVER = PLACES = ("worker", "driver")
REMEDY = "correct job.setup, or what it reads; nothing of the batch is visible; then launch again"


@dataclass(frozen=True)
class Setup:
    """`name`: module:function, called without arguments.  `refresh_batches`: a new one every so many; None: never."""

    name: str
    refresh_batches: int | None = None

    def version(self, seq: int) -> int:
        """By the batch's number, so that all workers change at the same batch."""
        return seq // self.refresh_batches if self.refresh_batches else 0

    def made(self) -> Any:
        """What it returns.  Raises BatchError that names the line: this is never the fault of a record."""
        function = load("job.setup", self.name)
        try:
            return function()
        except (Exception, SystemExit) as e:
            raise BatchError(f"job.setup: {raised(self.name, e)}", REMEDY) from e


@lru_cache(maxsize=1)  # executor: one per process, until its version is over
def on_worker(setup: Setup, version: int) -> Any:
    """What `setup` returned in this process for this version."""
    return setup.made()


class OnDriver:
    """Makes it on the driver and ships it to the executors; the one before is dropped from all of them."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._version = -1
        self._shipped: Broadcast[Any] | None = None

    def at(self, sc: SparkContext, seq: int) -> Broadcast[Any]:
        """For the batch `seq`.  Raises BatchError."""
        version = self._setup.version(seq)
        if self._shipped is None or version != self._version:
            older, made = self._shipped, self._setup.made()
            self._version, self._shipped = version, sc.broadcast(made)
            if older is not None:
                older.destroy()
        return self._shipped
