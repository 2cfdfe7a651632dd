"""The imperative shell around one run's batches: single flight, stops at the first failure, drains and stops.

Spark calls `plan` and `run_batch` from threads of its own; the main thread waits in `wait`.  Nothing is planned while
a batch is on its way, after a failure, or while draining, so batches are committed one after the other (rule S).

Spark asks for a batch on every tick of a timer.  A tick does not decide when a batch begins (`Pacing` does):
it is kept waiting here until the next one, so that a batch which becomes due in between, or whose predecessor is
committed in between, begins then.  From a commit to the start of the next batch a median of 13 ms was measured, over 60
batches of 80 ms: 0.1 to wake up, 3 for the look at Kafka, 10 for Spark to launch the job.  Ticks that are answered at
once add half a tick to that.  Planning one batch ahead could save the 13 ms at most, and costs plans that a failure, a
drain or newer records make worthless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from offsets.backpressure import Measured
from offsets.errors import BatchError, StreamError
from offsets.failpoints import passing
from offsets.manager import OffsetManager
from offsets.structs import OffsetRange
from streaming.run.batch import Batch, Stopwatch
from streaming.run.committer import Committer
from streaming.run.pacing import Pacing
from streaming.run.pending import unwritable, written_again
from streaming.run.progress import BatchReport
from streaming.sinks.names import StagingPlace
from streaming.source.planner import Planner, behind
from streaming.spark.direct import millis
from streaming.tasks.errors import from_spark, is_data_loss
from streaming.tasks.result import TaskResult
from streaming.tasks.times import added_up

if TYPE_CHECKING:
    from pyspark import RDD

log = logging.getLogger(__name__)

TICK_SECONDS = 0.05  # as short as the shortest batches; a tick without a batch costs 1.5 ms of CPU
SILENT_SECONDS = 120.0  # longer than any one look at Kafka, with its deadline, may keep a tick
DRAINED = "drained on a signal"
AT_THE_ENDS = "reached the end offsets seen at the start"

StageBatch = Callable[["RDD[OffsetRange]", Batch], Sequence[TaskResult]]


class Drain:
    """The wish to stop after the batch in flight.  `request` is a signal handler, so it takes no lock."""

    requested = False

    def request(self, *_: Any) -> None:
        self.requested = True


class Runner:
    """`stage` runs a batch's tasks and returns their results; `report` is told of every committed batch.

    Afterwards `reason` says why the run ended, or `failure` and its `cause` do.  `clock` never goes back; `wall` is the
    time that Spark's ticks go by.
    """

    def __init__(
        self,
        manager: OffsetManager,
        planner: Planner,
        committer: Committer,
        stage: StageBatch,
        report: Callable[[BatchReport], None],
        drain: Drain,
        pacing: Pacing,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._manager, self._planner, self._committer = manager, planner, committer
        self._stage, self._report = stage, report
        self._drain, self._pacing, self._clock, self._wall = drain, pacing, clock, wall
        self._ticked = clock()
        self._guard = threading.Condition()
        self._batch: Batch | None = None  # the one batch in flight
        self._lost: Sequence[OffsetRange] = ()  # of the batch that was last given up
        self._watch = Stopwatch(clock)
        self._finished = threading.Event()
        self.reason = ""
        self.failure: StreamError | None = None
        self.cause: BaseException | None = None

    def plan(self, batch_time: datetime) -> Sequence[OffsetRange]:
        """The ranges of the next batch, or none if its turn does not come before Spark's next tick.

        Never raises: a failure ends the run.
        """
        with self._guard:
            self._ticked = now = self._clock()
            self._pacing.begin(now)
            try:
                return self._plan(millis(batch_time)) if self._turn_comes(now + self._to_next(batch_time)) else ()
            except Exception as e:
                self._fail(e)
                return ()

    def _to_next(self, batch_time: datetime) -> float:
        """Seconds until Spark's next tick; none if this one is late, and the next one waits already."""
        return min(max(0.0, millis(batch_time) / 1000 + TICK_SECONDS - self._wall()), TICK_SECONDS)

    def _turn_comes(self, until: float) -> bool:
        """Waits, at most until then, for the batch in flight to be committed and the next one to be due."""
        while not self._over():
            now = self._clock()
            turn = until if self._batch else self._pacing.due
            if turn <= now or until <= now:
                return self._batch is None and turn <= now
            self._guard.wait(min(turn, until) - now)
        return False

    def _plan(self, time_ms: int) -> Sequence[OffsetRange]:
        self._watch, began = Stopwatch(self._clock), self._clock()
        with self._watch.step("plan"), passing("plan"):
            state = self._manager.state
            if plan := written_again(state):
                self._planner.confirm(plan)  # before tasks write what another log has at these offsets
            else:
                plan = self._planner.next(state.topics)
        state = self._manager.state  # planning may have begun a generation behind what is lost
        if self._over():  # that may have taken its time
            return ()
        self._pacing.planned(plan, began)
        if plan.ranges:
            self._batch = Batch(plan, StagingPlace(state.generation, state.epoch, state.seq), time_ms)
        elif self._pacing.pace.to_ends:
            self._end(AT_THE_ENDS)
        return plan.ranges

    def run_batch(self, batch_time: datetime, rdd: RDD[OffsetRange]) -> None:
        """Stages, publishes and commits the batch in flight.  Never raises: a failure ends the run."""
        batch = self._batch
        if batch is None or batch.time_ms != millis(batch_time):
            return  # a batch of before the failure: nothing of it may go on
        try:
            self._commit(batch, rdd)
        except Exception as e:
            if is_data_loss(from_spark(e)) and self._is_undecided(batch):
                self._lose(batch, e)
            else:
                self._fail(e)
        finally:
            with self._guard:
                self._batch = None
                self._guard.notify_all()

    def _commit(self, batch: Batch, rdd: RDD[OffsetRange]) -> None:
        began = self._clock()
        done = self._committer.run(batch, lambda: self._staged(batch, rdd), self._watch)
        self._planner.learn(self._measured(batch, began, self._clock()))
        lag = behind(done.manifest.topics, self._planner.latest)
        durations = {**self._watch.durations, **added_up(r.times for r in done.results)}
        self._report(BatchReport(done.manifest, done.results, durations, self._watch.seconds(), lag))

    def _staged(self, batch: Batch, rdd: RDD[OffsetRange]) -> Sequence[TaskResult]:
        results = self._stage(rdd, batch)
        self._planner.confirm(batch.plan)
        return results

    def _is_undecided(self, batch: Batch) -> bool:
        state = self._manager.state
        return state.pending is None and state.seq == batch.place.seq

    def _lose(self, batch: Batch, error: Exception) -> None:
        """Records of a batch are gone of which nothing was decided: planning says what that means.

        It stops the run with the command that goes on, or skips what is lost; then the batch is planned anew, unless
        that changed nothing.
        """
        try:
            self._planner.next(self._manager.state.topics)
        except Exception as e:
            self._fail(e)
            return
        if not self._planner.skips or batch.plan.ranges == self._lost:
            self._fail(error)
        else:
            log.warning("batch %d is given up and planned anew: %s", batch.place.seq, from_spark(error))
        self._lost = batch.plan.ranges

    def _measured(self, batch: Batch, began: float, ended: float) -> Measured:
        took, late = round((ended - began) * 1000), round(self._pacing.late * 1000)
        return Measured(round(ended * 1000), batch.plan.size(), took, late)

    def _fail(self, error: BaseException) -> None:
        if self.failure is None:
            failure = from_spark(error)
            self.failure = (
                unwritable(self._manager.state, failure, self._manager.job) if is_data_loss(failure) else failure
            )
            self.cause = error.__cause__ or error
        self._finished.set()

    def _end(self, reason: str) -> None:
        self.reason = reason
        self._finished.set()

    def _over(self) -> bool:
        """Whether no batch may be planned any more.  A drain lets the batch in flight finish first."""
        reason = DRAINED if self._drain.requested else self._pacing.over(self._clock())
        if reason and self._batch is None and not self._finished.is_set():
            self._end(reason)
        return self._finished.is_set()

    def wait(self, check: Callable[[], None], poll_seconds: float = 0.5) -> None:
        """Returns when the run is over: drained, idle at the end offsets, or failed.  Signals are served meanwhile.

        `check` raises if Spark itself reported an error, for which no batch would ever come back.
        """
        self._ticked = self._clock()  # what Spark took to start, in a cluster's queue perhaps, was no silence
        while not self._finished.wait(poll_seconds):
            with self._guard:
                self._over()
            try:
                check()
                self._check_ticks()
            except Exception as e:
                self._fail(e)

    def _check_ticks(self) -> None:
        """Spark's timer follows the wall clock: set back by an hour, it would be silent for an hour."""
        silent = self._clock() - self._ticked
        if self._batch is None and silent > SILENT_SECONDS:
            told = f"Spark has not asked for a batch for {silent:.0f} s: was the machine's clock set back?"
            raise BatchError(told, "launch again; nothing was in flight")
