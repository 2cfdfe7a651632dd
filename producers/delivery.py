"""Sends records and logs what became of every single one: acknowledged, failed, unknown or aborted.

*failed*: the brokers refused it, or it was never handed to them.  *unknown*: it may be in the topic or not, as no
answer came.  *aborted*: it is in the partition's log, in a transaction that was not committed, or is left open.
Knows no client: how one sends is a Delivery's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import orjson

WINDOW = 20_000  # records on their way; bounds memory and what a crash of this process leaves out of the log
LOOK_EVERY = 500  # sends between two looks at what has been answered
WAIT_SECONDS = 0.2
FLUSH_SECONDS = 5.0  # after Ctrl-C
NO_ANSWER_AT_END = "no answer before the end of the run"

Stopped = Callable[[], bool]
Progress = Callable[[int], None]


class Item(NamedTuple):
    """One record to send.  `partition` -1: the client's partitioner decides.  `note`: what else the log says of it."""

    value: bytes | None
    key: bytes | None = None
    partition: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()
    note: Mapping[str, Any] = {}


@dataclass
class Outcome:
    """Counts of records; ``error``: why it stopped, if it did."""

    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    aborted: int = 0
    error: str | None = None

    @property
    def total(self) -> int:
        return self.acknowledged + self.failed + self.unknown + self.aborted

    @property
    def exit_status(self) -> int:
        """See the scripts' manuals; a refusal weighs more than a missing answer."""
        return 1 if self.failed else 69 if self.unknown else 1 if self.error else 0


@dataclass
class DeliveryLog:
    """Counts, and writes a JSON line for each record if there is a file: in the order in which fates became known."""

    topic: str
    file: BinaryIO | None = None
    outcome: Outcome = field(default_factory=Outcome)
    acknowledged: dict[int, int] = field(default_factory=dict)  # records by partition

    def record(self, outcome: str, partition: int, offset: int | None, item: Item, error: str | None = None) -> None:
        """`offset` is the record's place, None unless it is known.  The first error stays the outcome's."""
        counts = self.outcome
        setattr(counts, outcome, getattr(counts, outcome) + 1)
        counts.error = counts.error or error
        if outcome == "acknowledged":
            self.acknowledged[partition] = self.acknowledged.get(partition, 0) + 1
        if self.file:
            place = {"outcome": outcome, "topic": self.topic, "partition": partition, "offset": offset}
            self.file.write(orjson.dumps({**place, **item.note, "error": error}, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def open_log(path: Path | None, topic: str) -> Iterator[DeliveryLog]:
    """Appends to `path`; only counts if there is none.  Raises OSError."""
    if path is None:
        yield DeliveryLog(topic)
    else:
        with path.open("ab") as file:
            yield DeliveryLog(topic, file)


class Delivery(Protocol):
    """One client's way to send.  Every item handed to `send` gets exactly one line in the log, at `finish` at last."""

    log: DeliveryLog

    def send(self, item: Item) -> None:
        """Hands one record over; a refusal is logged, never raised."""

    def look(self, stopped: Stopped) -> None:
        """Logs what has been answered; waits while too much is on its way."""

    def finish(self, stopped: Stopped) -> None:
        """Waits for every answer, for at most FLUSH_SECONDS once it is stopped; what has none then is unknown."""


def produce(
    delivery: Delivery, items: Iterable[Item], stopped: Stopped = lambda: False, progress: Progress = lambda done: None
) -> Outcome:
    """Sends until the items end, `stopped` says so, or a record is not acknowledged; logs every record sent.

    `progress` is told the number of records that are accounted for.  Whatever `items` raises is raised once all that
    was sent before is accounted for.
    """
    outcome = delivery.log.outcome
    looked = time.monotonic()
    try:
        for n, item in enumerate(items, 1):
            delivery.send(item)
            if n % LOOK_EVERY == 0 or time.monotonic() - looked > WAIT_SECONDS:
                delivery.look(stopped)
                looked = time.monotonic()
                progress(outcome.total)
            if stopped() or outcome.error:
                break
    finally:
        delivery.finish(stopped)
        progress(outcome.total)
    return outcome


class Pace:
    """Lets items through at `rate` a second, counted from the first that ever came; all at once if it is None."""

    def __init__(self, rate: float | None, stopped: Stopped) -> None:
        self._rate, self._stopped = rate, stopped
        self._began, self._passed = time.monotonic(), 0

    def __call__(self, items: Iterable[Item]) -> Iterator[Item]:
        """Ends early once it is stopped."""
        for item in items:
            while self._rate and (early := self._began + self._passed / self._rate - time.monotonic()) > 0:
                if self._stopped():
                    return
                time.sleep(min(early, WAIT_SECONDS))
            self._passed += 1
            yield item
