"""One batch from its plan to its end, step by step as its profile says, and the redo of one that was left prepared.

The steps and their order are those of `offsets.profiles.PROFILES`; each has one method here.  Driver only.  No Spark in
here, so that plain processes can run, kill and freeze it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from offsets.errors import LostBatchError, UnavailableError
from offsets.failpoints import passing, reach
from offsets.manager import OffsetManager
from offsets.profiles import DIRECT, LOG, PROFILES, STAGED, Profile, Step
from offsets.stores.base import Work
from offsets.structs import EXACTLY_ONCE, Manifest
from streaming.run.batch import Batch, BatchInFlight, Stopwatch, Tasks, manifest_of, sink_batch
from streaming.sinks.current import BatchPlace
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.sinks.retention import KEEP_BATCHES, BatchLogRetention
from streaming.sinks.transactional import SinkTransaction
from streaming.tasks.errors import from_spark

Act = Callable[[BatchInFlight], object]


class Committer:
    """Moves batches through the protocol.  Not thread-safe: one batch at a time (rule S)."""

    def __init__(
        self,
        manager: OffsetManager,
        sink: StagedFileSink,
        keep_batches: int = KEEP_BATCHES,
        profile: Profile = PROFILES[EXACTLY_ONCE, STAGED],
        transaction: SinkTransaction | None = None,
    ) -> None:
        """`transaction`: what a transactional sink, whose profile has that kind, does within COMMIT."""
        self._manager, self._sink, self._profile, self._transaction = manager, sink, profile, transaction
        self._retention = BatchLogRetention(sink.filesystem, keep_batches)
        self._acts = self._staged_acts() if profile.kind == STAGED else self._direct_acts()

    def _staged_acts(self) -> Mapping[str, Act]:
        return {
            "stage": self._stage,
            "manifest": self._write_manifest,
            "prepare": self._prepare,
            "publish": self._publish,
            "commit": self._commit,
            "log": self._log,
            "gc": lambda _: self.collect_garbage(),
        }

    def _direct_acts(self) -> Mapping[str, Act]:
        return {
            "prepare": self._intend,
            "write": self._write,
            "log": lambda flight: self._sink.log_written(flight.manifest),
            "commit": self._commit,
            "gc": lambda _: self.collect_garbage(),
        }

    def _steps(self) -> tuple[Step, ...]:
        """Those of the profile; while a batch is pending, which then is a direct sink's, those behind its `prepare`."""
        if self._manager.state.pending is None:
            return self._profile.steps
        return PROFILES[EXACTLY_ONCE, DIRECT].steps[1:]

    def run(self, batch: Batch, tasks: Tasks, watch: Stopwatch) -> BatchInFlight:
        """The whole batch.  Raises what stopped it, as LostBatchError if its offsets may be committed and it is lost.

        `tasks` runs the batch's tasks; what it raises, in a profile that prepares, leaves the register as it was.
        """
        flight = BatchInFlight(batch, tasks)
        try:
            for step in self._steps():
                with watch.step(step.name):
                    self._do(step, self._acts[step.name], flight)
        except Exception as e:
            if self._is_lost(batch, e):
                raise LostBatchError(from_spark(e), batch.place.seq, batch.plan.ranges) from e
            raise
        return flight

    def _is_lost(self, batch: Batch, error: Exception) -> bool:
        """Whether no launch will read the batch again although it failed; also if that cannot be told."""
        if self._manager.state.pending is not None:  # of another profile, and written again by the next launch
            return False
        unknown = isinstance(error, UnavailableError)
        return self._profile.commits_first and (unknown or self._manager.state.seq > batch.place.seq)

    def _do(self, step: Step, act: Act, flight: BatchInFlight) -> None:
        if step.writes:  # whose failpoints are the manager's
            act(flight)
        else:
            with passing(step.name):
                act(flight)

    def _stage(self, flight: BatchInFlight) -> None:
        flight.results = tuple(flight.tasks())

    def _write_manifest(self, flight: BatchInFlight) -> None:
        state = self._manager.state
        guarantee = self._profile.guarantee
        flight.manifest = manifest_of(state.app, flight.batch, flight.results, state.schemas, guarantee)
        flight.schemas = flight.manifest.schemas
        flight.ref = self._sink.write_manifest(flight.manifest)

    def _prepare(self, flight: BatchInFlight) -> None:
        plan = flight.batch.plan
        self._manager.prepare(plan.topics, plan.ranges, flight.ref, flight.schemas)

    def _intend(self, flight: BatchInFlight) -> None:
        plan = flight.batch.plan
        self._manager.prepare(plan.topics, plan.ranges, None)

    def _write(self, flight: BatchInFlight) -> None:
        self._stage(flight)
        state = self._manager.state
        flight.manifest = manifest_of(state.app, flight.batch, flight.results, {}, self._profile.name)

    def _publish(self, flight: BatchInFlight) -> None:
        logged = LOG not in self._profile.steps
        self._sink.publish(flight.ref, flight.manifest, self._manager.changed, log=logged)

    def _commit(self, flight: BatchInFlight) -> None:
        plan = flight.batch.plan
        if self._manager.state.pending is not None:
            self._manager.commit()
        else:
            self._manager.commit_ranges(plan.topics, plan.ranges, flight.schemas, self._within(flight))

    def _within(self, flight: BatchInFlight) -> Work | None:
        if self._transaction is None:
            return None
        return self._transaction.work(sink_batch(self._manager.state.app, flight.batch), flight.results)

    def _log(self, flight: BatchInFlight) -> None:
        self._sink.log_batch(flight.ref, flight.manifest, self._manager.changed)

    def redo(self) -> Manifest | None:
        """Finishes the batch that the register says is pending, if any: publishes its files, then commits.

        In every profile: that it is pending says that it was decided, and is published wholly and once.  A direct
        sink's is only committed if it is logged, and so written; else it is left, to be written again.
        """
        with passing("redo"):
            pending = self._manager.state.pending
            if pending is None:
                return None
            if pending.manifest is None:
                if written := self._sink.find_written(self._manager.state):
                    self._manager.commit()
                return written
            reach("redo.manifest")
            manifest = self._sink.read_manifest(pending.manifest, self._manager.changed)
            with passing("publish"):
                self._sink.publish(pending.manifest, manifest, self._manager.changed, check_lengths=True)
            self._manager.commit()
            return manifest

    def collect_garbage(self) -> None:
        """Rule G: only batches older than the one that comes next, and only while nothing is pending."""
        state = self._manager.state
        if state.pending is None:
            self._sink.collect_garbage((state.epoch, state.seq))
            self._retention.prune(state.generation, state.seq)
            if self._transaction is not None:
                place = StagingPlace(state.generation, state.epoch, state.seq)
                self._transaction.collect_garbage(BatchPlace(state.app, place))
