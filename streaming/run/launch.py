"""One launch of a job, from the lock to the exit status.  What a cron line starts; runs on the driver.

The order matters: everything that can be wrong is looked at before the register is written, a batch that a crash left
prepared is finished before anything is planned, and Spark is started only if there is something to read.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offsets.manager import OffsetManager, current_owner
from offsets.protocol import DIRECT, PROFILES, STAGED, Profile
from offsets.rate import Limits
from offsets.stores import open_store
from offsets.structs import TopicState
from streaming.config.conflicts import refuse_empty
from streaming.config.job import JobConfig
from streaming.hive.registrar import HiveRegistrar
from streaming.hive.session import hive_told, unregistered
from streaming.run.admission import admit
from streaming.run.committer import Committer
from streaming.run.fencing import fencing_told
from streaming.run.holding import held
from streaming.run.ownership import OURS, check_ownership
from streaming.run.pacing import Pace, Pacing
from streaming.run.pausing import PauseWatch, pause_in_force
from streaming.run.pending import refuse_pending
from streaming.run.progress import BatchReport, RunProgress
from streaming.run.recovery import latest_topics, mend, reset_topics
from streaming.run.runner import DRAINED, Drain, Runner
from streaming.run.session import run_batches, spark
from streaming.run.skipping import SKIP, LossKeeper
from streaming.run.stages import stage_with
from streaming.run.terminal import Advance, progress_bar
from streaming.run.writes import write_with
from streaming.sinks.file import StagedFileSink, open_sink
from streaming.sinks.runs import reports
from streaming.source.beginning import first_topics
from streaming.source.broker import Broker
from streaming.source.open_transactions import TransactionWatch, reported
from streaming.source.planner import Planner, behind, ends, first_snapshot
from streaming.source.subscription import Snapshot
from streaming.spark.conf import refuse_told
from streaming.spark.shipping import check_user_code
from streaming.transform.recipe import Recipe
from streaming.transform.settings import recipe_of

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0  # at the start a wrong address is the likely reason: said soon, within the 15 s that people wait
SERVE_SECONDS = 30.0  # in mid-run a restart is the likely reason: waited for


@dataclass(frozen=True)
class Options:
    """What the command line adds to the job file."""

    available_now: bool = False
    duration: float | None = None  # seconds
    recover: str | None = None  # one of streaming.run.recovery.RECOVERIES
    debug: bool = False


@dataclass(frozen=True)
class Launch:
    """The parts of one run, put together.  `run` returns why it ended; errors are StreamErrors."""

    config: JobConfig
    options: Options
    progress: RunProgress
    drain: Drain

    @property
    def profile(self) -> Profile:
        return PROFILES[self.config.guarantee, STAGED if self.config.sink_class is None else DIRECT]

    def run(self) -> str:
        root = check_ownership()
        refuse_told(self.config)
        refuse_empty(self.config, self.options.available_now)
        check_user_code(self.config)
        recipe = recipe_of(self.config)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.drain.request)
        sink = open_sink(self.config.sink_path)
        if pause := pause_in_force(sink.filesystem):
            log.warning("%s; nothing was done, pause_job.py %s --resume lifts it", pause, self.config.job)
            return str(pause)
        owner = current_owner(self.progress.run_id)
        url, session = self.config.store, self.config.session_timeout_ms / 1000
        with closing(open_store(url, session, CONNECT_SECONDS)) as store:
            store.load()  # whether it is there at all
        with (
            PauseWatch(sink.filesystem, self.drain.request) as watch,
            closing(open_store(url, session, SERVE_SECONDS, self.config.retain_states)) as store,
            held(store, owner),
        ):
            manager = OffsetManager(store, owner, job=self.config.job)
            with fencing_told(manager):
                reason = self.with_lock(root, recipe, sink, manager)
        return str(watch.seen) if watch.seen and reason == DRAINED else reason

    def with_lock(self, root: Path, recipe: Recipe, sink: StagedFileSink, manager: OffsetManager) -> str:
        """From admission to the end of the run; in between, what an earlier run left prepared is finished."""
        sink.check_writable()
        with closing(Broker(self.config.kafka, CONNECT_SECONDS)) as broker:
            mend(self.options.recover, self.config, manager, sink)
            state = manager.read()
            self.progress.at_home = state is not None and sink.marker() == state.app
            snapshot = first_snapshot(broker, self.config.subscription, known=state.topics if state else {})
            start = partial(first_topics, self.config.start, broker, self.config.subscription, snapshot)
            refuse_pending(self.config, self.options.recover, state)
            admit(self.config, manager, sink, state, start, self.check_for(broker, snapshot))
        log.info("%s from %s, run %s of %s", OURS, root, self.progress.run_id, self.config.name)
        self.progress.at_home = True
        committer = Committer(manager, sink, self.config.retain_batches, self.profile)
        if redone := committer.redo():
            log.info("finished batch %d, which an earlier run left prepared: %d files", redone.seq, len(redone.files))
            self.progress.add_redone(redone)
        losses = LossKeeper(manager, sink, self.progress.losses)
        losses.write_down()
        if self.options.recover == "offsets":
            topics = reset_topics(self.config, manager.state.topics, snapshot)
            manager.reset(topics, f"run_stream.py --recover offsets, run {self.progress.run_id}")
            manager.read()  # one that slept here is fenced, and writes nothing any more
            sink.log_reset(manager.state)
        elif self.config.start_fresh:
            topics = latest_topics(self.config, manager.state.topics, snapshot)
            manager.reset(topics, f"source.startFresh, run {self.progress.run_id}")
            manager.read()  # one that slept here is fenced, and writes nothing any more
            sink.log_reset(manager.state)
        # A direct sink's batch that is pending may be in the log already.
        sink.refuse_logged(manager.state.generation, manager.state.seq + (manager.state.pending is not None))
        committer.collect_garbage()  # not before: a register of long ago does not know what is pending
        return self.batches(root, recipe, sink, manager, committer, losses, snapshot)

    def check_for(self, broker: Broker, snapshot: Snapshot) -> Callable[[Mapping[str, TopicState]], object]:
        """Raises DataLossError for what Kafka no longer has, unless a person or the job says where to go on."""
        if self.options.recover == "offsets" or self.config.on_data_loss == SKIP or self.config.start_fresh:
            return lambda topics: None
        return partial(Planner(broker, self.config.subscription, job=self.config.job).next, seen=snapshot)

    def batches(
        self,
        root: Path,
        recipe: Recipe,
        sink: StagedFileSink,
        manager: OffsetManager,
        committer: Committer,
        losses: LossKeeper,
        snapshot: Snapshot,
    ) -> str:
        """Batch after batch, with --available-now to the ends in `snapshot`.  No Spark if there is nothing to read."""
        config, available_now = self.config, self.options.available_now
        targets = ends(snapshot) if available_now else None
        self.progress.see_latest(ends(snapshot))
        with closing(Broker(config.kafka, SERVE_SECONDS)) as broker:
            limits = Limits(config.max_offsets_per_trigger, config.rates, config.batch_interval_ms / 1000)
            skip = losses.skip if config.on_data_loss == SKIP else None
            watch = TransactionWatch(lambda: reported(reports(sink.filesystem)))
            self.progress.transactions = watch
            planner = Planner(broker, config.subscription, limits, targets, config.job, skip=skip, watch=watch.see)
            nothing_new = (
                available_now
                and manager.state.pending is None
                and not planner.next(manager.state.topics, snapshot).ranges
                and not unregistered(config, sink.filesystem, manager.state.seq)
            )
            if nothing_new or self.drain.requested:
                return "nothing new" if nothing_new else DRAINED
            if config.sink_class is None:
                stage = stage_with(config, recipe, sink, lambda: manager.state.schemas)
            else:
                stage = write_with(config, config.sink_class, sink)
            pacing = Pacing(Pace(limits.seconds, limits.rates.limiting, available_now, self.options.duration))
            total = behind(manager.state.topics, targets) if targets is not None else None
            with (
                spark(config, root, self.drain, self.options.debug) as sc,
                hive_told(config, recipe, sc, sink.filesystem, manager.state.seq) as hive,
                progress_bar(total) as advance,
            ):
                report = partial(self.report, advance, hive)
                runner = Runner(manager, planner, committer, stage, report, self.drain, pacing)
                run_batches(sc, runner)
            self.progress.see_latest(planner.latest)
        if runner.failure:
            raise runner.failure from runner.cause
        return runner.reason

    def report(self, advance: Advance, hive: HiveRegistrar | None, batch: BatchReport) -> None:
        """Tells of a batch that is committed; never fails it."""
        if hive is not None:
            hive.committed(batch.manifest)
        self.progress.add(batch)
        log.info(batch.line())
        with suppress(OSError):  # the terminal went away: no reason to fail a batch that is committed
            advance(sum(r.size() for r in batch.manifest.ranges))
