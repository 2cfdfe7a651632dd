"""Puts lines into a topic and logs what became of every single one: acknowledged, failed or unknown.

*failed*: the brokers refused it, or it was never handed to them.  *unknown*: it may be in the topic or not, as no
answer came.  Stops at the first record that was not acknowledged.  The log is JSON lines, in the order of sending:
`{"outcome", "topic", "partition", "offset", "malformed", "line", "error"}`; offset is null unless acknowledged, line
holds each byte of the record as the character of the same number (latin-1).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson
from kafka import KafkaProducer
from kafka.errors import BrokerResponseError, KafkaError

from producers.transactions import Line

WINDOW = 20_000  # records on their way; bounds memory and what a crash of this process leaves out of the log
LOOK_EVERY = 500  # sends between two looks at what has been answered
WAIT_SECONDS = 0.2
FLUSH_SECONDS = 5.0  # after Ctrl-C


@dataclass
class Outcome:
    """Counts of records; ``error``: why it stopped, if it did."""

    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    malformed: int = 0
    error: str | None = None

    @property
    def total(self) -> int:
        return self.acknowledged + self.failed + self.unknown


def produce(
    producer: KafkaProducer,
    topic: str,
    lines: Iterable[Line],
    log: BinaryIO,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda done: None,
    patience: float = 30.0,
) -> Outcome:
    """Sends until the lines end, `stopped` says so, or a record is not acknowledged; logs every record sent.

    `progress` is told the number of records that are accounted for.  A record without an answer for `patience` seconds
    is unknown, and so are all after it: kafka-python alone would wait for a vanished broker for ever.  Partitions take
    turns.
    """
    delivery = _Delivery(producer, topic, sorted(producer.partitions_for(topic)), log, patience)
    for line in lines:
        if delivery.send(line):
            delivery.look(stopped)
            progress(delivery.outcome.total)
        if stopped() or delivery.outcome.error:
            break
    delivery.finish(stopped)
    progress(delivery.outcome.total)
    return delivery.outcome


def paced(lines: Iterable[Line], rate: float, clock: Callable[[], float] = time.monotonic) -> Iterator[Line]:
    """The lines at `rate` a second, counted from the first."""
    began = clock()
    for n, line in enumerate(lines):
        if (early := began + n / rate - clock()) > 0:
            time.sleep(early)
        yield line


class _Delivery:
    """What is on its way, oldest first, and the log of what has arrived."""

    def __init__(
        self, producer: KafkaProducer, topic: str, partitions: Sequence[int], log: BinaryIO, patience: float
    ) -> None:
        self.outcome = Outcome()
        self._producer, self._topic, self._partitions, self._log = producer, topic, partitions, log
        self._patience = patience
        self._waiting: deque[tuple[Any, int, Line, float]] = deque()  # future, partition, line, when sent
        self._turn = 0
        self._looked = time.monotonic()

    def send(self, line: Line) -> bool:
        """Hands one line over.  True if it is time for a look."""
        now = time.monotonic()
        partition = self._partitions[self._turn % len(self._partitions)]
        self._turn += 1
        try:
            future = self._producer.send(self._topic, line.value, partition=partition)
        except KafkaError as e:  # it was not handed over
            self._record("failed", partition, None, line, type(e).__name__)
        else:
            self._waiting.append((future, partition, line, now))
        return self._turn % LOOK_EVERY == 0 or now - self._looked > WAIT_SECONDS

    def look(self, stopped: Callable[[], bool]) -> None:
        """Logs what has been answered; waits while too much is on its way."""
        self._looked = time.monotonic()
        self._log_answered()
        while len(self._waiting) > WINDOW and not stopped():
            self._wait_for_oldest()

    def finish(self, stopped: Callable[[], bool]) -> None:
        """Waits for every answer, for at most FLUSH_SECONDS once it is stopped; what has none then is unknown."""
        asked = time.monotonic()
        while self._waiting and not (stopped() and time.monotonic() - asked > FLUSH_SECONDS):
            self._wait_for_oldest()
        self._give_up("no answer before the end of the run")
        self._log.flush()

    def _wait_for_oldest(self) -> None:
        with suppress(KafkaError):  # its own failure is looked at below; a timeout only means: not yet
            self._waiting[0][0].get(timeout=WAIT_SECONDS)
        self._log_answered()

    def _log_answered(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0].is_done:
            future, partition, line, _ = waiting.popleft()
            if future.succeeded():
                self._record("acknowledged", partition, future.value.offset, line, None)
            else:
                self._record(_judge(future.exception), partition, None, line, type(future.exception).__name__)
        if waiting and time.monotonic() - waiting[0][3] > self._patience:
            self._give_up(f"no answer within {self._patience:g} s")

    def _give_up(self, why: str) -> None:
        for _, partition, line, _ in self._waiting:
            self._record("unknown", partition, None, line, why)
        self._waiting.clear()

    def _record(self, outcome: str, partition: int, offset: int | None, line: Line, error: str | None) -> None:
        counts = self.outcome
        setattr(counts, outcome, getattr(counts, outcome) + 1)
        counts.malformed += line.malformed
        counts.error = counts.error or error
        entry = {"outcome": outcome, "topic": self._topic, "partition": partition, "offset": offset}
        entry |= {"malformed": line.malformed, "line": line.value.decode("latin-1"), "error": error}
        self._log.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))


def _judge(error: BaseException) -> str:
    """Only a broker's final refusal is a failure; whatever else went wrong, the record may have been written."""
    return "failed" if isinstance(error, BrokerResponseError) and not error.retriable else "unknown"
