"""The imperative shell around one run's batches: single flight, stops at the first failure, drains and stops.

Spark calls `plan` and `run_batch` from threads of its own; the main thread waits in `wait`.  Nothing is planned while
a batch is on its way, after a failure, or while draining, so batches are committed one after the other (rule S).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from offsets.errors import BatchError, StreamError
from offsets.manager import OffsetManager
from offsets.structs import OffsetRange
from streaming.committer import Batch, Committer, Stopwatch, TaskResult
from streaming.direct import millis
from streaming.planner import Planner, behind
from streaming.progress import BatchReport
from streaming.sinks.names import StagingPlace
from streaming.taskerrors import from_spark

if TYPE_CHECKING:
    from pyspark import RDD


SILENT_SECONDS = 120.0  # longer than any one look at Kafka, with its deadline, may keep a tick

StageBatch = Callable[["RDD[OffsetRange]", StagingPlace], Sequence[TaskResult]]


class Drain:
    """The wish to stop after the batch in flight.  `request` is a signal handler, so it takes no lock."""

    requested = False

    def request(self, *_: Any) -> None:
        self.requested = True


class Runner:
    """`stage` runs a batch's tasks and returns their results; `report` is told of every committed batch."""

    def __init__(
        self,
        manager: OffsetManager,
        planner: Planner,
        committer: Committer,
        stage: StageBatch,
        report: Callable[[BatchReport], None],
        stop_when_idle: bool,
        drain: Drain,
        tick_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager, self._planner, self._committer = manager, planner, committer
        self._stage, self._report, self._stop_when_idle = stage, report, stop_when_idle
        self._drain, self._clock = drain, clock
        self._silence = SILENT_SECONDS + 2 * tick_seconds
        self._ticked = clock()
        self._guard = threading.Lock()
        self._batch: Batch | None = None  # the one batch in flight
        self._watch = Stopwatch(clock)
        self._finished = threading.Event()
        self.failure: StreamError | None = None
        self.cause: BaseException | None = None

    def plan(self, batch_time: datetime) -> Sequence[OffsetRange]:
        """The ranges of the next batch, or none.  Never raises: a failure ends the run."""
        self._ticked = self._clock()
        with self._guard:
            if self._batch or self._finished.is_set():
                return ()
            if self._drain.requested:
                self._finished.set()
                return ()
            try:
                return self._plan(millis(batch_time))
            except Exception as e:
                self._fail(e)
                return ()

    def _plan(self, time_ms: int) -> Sequence[OffsetRange]:
        self._watch = Stopwatch(self._clock)
        state = self._manager.state
        with self._watch.step("plan"):
            plan = self._planner.next(state.topics)
        if plan.ranges:
            self._batch = Batch(plan, StagingPlace(state.generation, state.epoch, state.seq), time_ms)
        elif self._stop_when_idle:
            self._finished.set()
        return plan.ranges

    def run_batch(self, batch_time: datetime, rdd: RDD[OffsetRange]) -> None:
        """Stages, publishes and commits the batch in flight.  Never raises: a failure ends the run."""
        batch = self._batch
        if batch is None or batch.time_ms != millis(batch_time):
            return  # a batch of before the failure: nothing of it may go on
        try:
            self._commit(batch, rdd)
        except Exception as e:
            self._fail(e)
        finally:
            with self._guard:
                self._batch = None

    def _commit(self, batch: Batch, rdd: RDD[OffsetRange]) -> None:
        with self._watch.step("stage"):
            results = tuple(self._stage(rdd, batch.place))
            self._planner.confirm(batch.plan)
        manifest = self._committer.commit(batch, results, self._watch)
        lag = behind(manifest.topics, self._planner.latest)
        self._report(BatchReport(manifest, results, self._watch.durations, self._watch.seconds(), lag))

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            self.failure, self.cause = from_spark(error), error
        self._finished.set()

    def wait(self, check: Callable[[], None], poll_seconds: float = 0.1) -> None:
        """Returns when the run is over: drained, idle at the end offsets, or failed.  Signals are served meanwhile.

        `check` raises if Spark itself reported an error, for which no batch would ever come back.
        """
        self._ticked = self._clock()  # what Spark took to start, in a cluster's queue perhaps, was no silence
        while not self._finished.wait(poll_seconds):
            self._finish_if_drained()
            try:
                check()
                self._check_ticks()
            except Exception as e:
                self._fail(e)

    def _check_ticks(self) -> None:
        """Spark's timer follows the wall clock: set back by an hour, it would be silent for an hour."""
        silent = self._clock() - self._ticked
        if self._batch is None and silent > self._silence:
            told = f"Spark has not asked for a batch for {silent:.0f} s: was the machine's clock set back?"
            raise BatchError(told, "launch again; nothing was in flight")

    def _finish_if_drained(self) -> None:
        if self._drain.requested:
            with self._guard:
                if self._batch is None:
                    self._finished.set()
