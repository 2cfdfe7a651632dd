"""All batches of one launch, once the register is its own.  No Spark is started if there is nothing to read."""

from __future__ import annotations

import logging
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from offsets.manager import OffsetManager
from offsets.rate import Limits
from offsets.snapshot import Snapshot
from offsets.structs import TopicPartition
from streaming.config.job import JobConfig
from streaming.hive.registrar import HiveRegistrar
from streaming.hive.session import hive_told, unregistered
from streaming.run.committer import Committer
from streaming.run.options import Options
from streaming.run.pacing import Pace, Pacing
from streaming.run.progress import BatchReport, RunProgress
from streaming.run.runner import DRAINED, Drain, Runner, StageBatch
from streaming.run.session import run_batches, spark
from streaming.run.skipping import SKIP, LossKeeper
from streaming.run.stages import stage_with
from streaming.run.terminal import Advance, progress_bar
from streaming.run.writes import write_with
from streaming.sinks.file import StagedFileSink
from streaming.sinks.runs import reports
from streaming.source.broker import Broker
from streaming.source.open_transactions import TransactionWatch, reported
from streaming.source.planner import Planner, behind, ends
from streaming.transform.recipe import Recipe

log = logging.getLogger(__name__)

SERVE_SECONDS = 30.0  # in mid-run a restart is the likely reason: waited for


@dataclass(frozen=True)
class Batches:
    """The parts that they share.  `snapshot`: Kafka at the start; with --available-now its ends are the run's."""

    config: JobConfig
    options: Options
    progress: RunProgress
    drain: Drain
    recipe: Recipe
    sink: StagedFileSink
    manager: OffsetManager
    committer: Committer
    losses: LossKeeper
    snapshot: Snapshot

    def run(self, root: Path) -> str:
        """Batch after batch; why it ended.  `root`: of our code, which executors get."""
        self.progress.see_latest(ends(self.snapshot))
        with closing(Broker(self.config.kafka, SERVE_SECONDS)) as broker:
            planner = self._planner(broker)
            if self._nothing_new(planner):
                return "nothing new"
            if self.drain.requested:
                return DRAINED
            runner = self._run_in_spark(root, planner)
            self.progress.see_latest(planner.latest)
        if runner.failure:
            raise runner.failure from runner.cause
        return runner.reason

    @cached_property
    def _limits(self) -> Limits:
        config = self.config
        return Limits(config.max_offsets_per_trigger, config.rates, config.batch_interval_ms / 1000)

    @cached_property
    def _targets(self) -> dict[TopicPartition, int] | None:
        return ends(self.snapshot) if self.options.available_now else None

    def _planner(self, broker: Broker) -> Planner:
        config, limits, targets = self.config, self._limits, self._targets
        skip = self.losses.skip if config.on_data_loss == SKIP else None
        watch = TransactionWatch(lambda: reported(reports(self.sink.filesystem)))
        self.progress.transactions = watch

        def seen(snapshot: Snapshot) -> None:
            watch.see(snapshot)
            self.progress.see_earliest(snapshot)

        return Planner(broker, config.subscription, limits, targets, config.job, skip=skip, watch=seen)

    def _nothing_new(self, planner: Planner) -> bool:
        """Neither records, nor a batch to write again, nor anything that Hive is yet to be told."""
        state = self.manager.state
        return (
            self.options.available_now
            and state.pending is None
            and not planner.next(state.topics, self.snapshot).ranges
            and not unregistered(self.config, self.sink.filesystem, state.seq)
        )

    def _run_in_spark(self, root: Path, planner: Planner) -> Runner:
        stage, pacing, targets = self._stage(), self._pacing(), self._targets
        total = behind(self.manager.state.topics, targets) if targets is not None else None
        with (
            spark(self.config, root, self.drain, self.options.debug) as sc,
            hive_told(self.config, self.recipe, sc, self.sink.filesystem, self.manager.state.seq) as hive,
            progress_bar(total) as advance,
        ):
            report = partial(self._report, advance, hive)
            runner = Runner(self.manager, planner, self.committer, stage, report, self.drain, pacing)
            run_batches(sc, runner)
        return runner

    def _stage(self) -> StageBatch:
        if self.config.sink_class is None:
            return stage_with(self.config, self.recipe, self.sink, lambda: self.manager.state.schemas)
        return write_with(self.config, self.config.sink_class, self.sink, self.manager.state.app)

    def _pacing(self) -> Pacing:
        limits, options = self._limits, self.options
        return Pacing(Pace(limits.seconds, limits.rates.limiting, options.available_now, options.duration))

    def _report(self, advance: Advance, hive: HiveRegistrar | None, batch: BatchReport) -> None:
        """Tells of a batch that is committed; never fails it."""
        if hive is not None:
            hive.committed(batch.manifest)
        self.progress.add(batch)
        log.info(batch.line())
        with suppress(OSError):  # the terminal went away: no reason to fail a batch that is committed
            advance(sum(r.size() for r in batch.manifest.ranges))
