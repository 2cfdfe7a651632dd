"""One launch of a job, from the lock to the exit status.  What a cron line starts; runs on the driver.

The order matters: everything that can be wrong is looked at before the register is written, a batch that a crash left
prepared is finished before anything is planned, and Spark is started only if there is something to read.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offsets.manager import OffsetManager, current_owner
from offsets.profiles import DIRECT, PROFILES, STAGED, TRANSACTIONAL, Kind
from offsets.snapshot import Snapshot
from offsets.stores import open_store
from offsets.structs import TopicState
from streaming.config.conflicts import refuse_empty
from streaming.config.job import JobConfig
from streaming.run.admission import admit
from streaming.run.anew import begin_anew, trace_again
from streaming.run.batches import SERVE_SECONDS, Batches
from streaming.run.committer import Committer
from streaming.run.fencing import fencing_told
from streaming.run.holding import held
from streaming.run.options import Options
from streaming.run.ownership import OURS, check_ownership
from streaming.run.pausing import PauseWatch, pause_in_force
from streaming.run.pending import refuse_pending, way_out_told
from streaming.run.progress import RunProgress
from streaming.run.recovery import mend
from streaming.run.runner import DRAINED, Drain
from streaming.run.skipping import SKIP, LossKeeper
from streaming.sinks.direct import declaration
from streaming.sinks.file import StagedFileSink, open_sink
from streaming.sinks.transactional import SinkTransaction
from streaming.source.beginning import first_topics
from streaming.source.broker import Broker
from streaming.source.planner import Planner, first_snapshot
from streaming.spark.conf import refuse_told
from streaming.spark.shipping import check_user_code
from streaming.transform.recipe import Recipe
from streaming.transform.settings import recipe_of

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0  # at the start a wrong address is the likely reason: said soon, within the 15 s that people wait


@dataclass(frozen=True)
class Launch:
    """The parts of one run, put together.  `run` returns why it ended; errors are StreamErrors."""

    config: JobConfig
    options: Options
    progress: RunProgress
    drain: Drain

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
        return self._locked(root, recipe, sink)

    def _locked(self, root: Path, recipe: Recipe, sink: StagedFileSink) -> str:
        """Holds the job's lock, and watches its pause switch, for the rest of the run."""
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
        config, progress = self.config, self.progress
        sink.check_writable()
        snapshot = self._admit(sink, manager)
        log.info("%s from %s, run %s of %s", OURS, root, progress.run_id, config.name)
        progress.at_home, progress.taken = True, manager.state
        committer = self._redone(sink, manager)
        losses = LossKeeper(manager, sink, progress.losses)
        losses.write_down()
        trace_again(manager, sink)
        begin_anew(config, manager, sink, snapshot, progress.run_id)
        # A direct sink's batch that is pending may be in the log already.
        sink.refuse_logged(manager.state.generation, manager.state.seq + (manager.state.pending is not None))
        committer.collect_garbage()  # not before: a register of long ago does not know what is pending
        batches = Batches(
            config, self.options, progress, self.drain, recipe, sink, manager, committer, losses, snapshot
        )
        return batches.run(root)

    def _admit(self, sink: StagedFileSink, manager: OffsetManager) -> Snapshot:
        """Takes the register, unless something speaks against it; what of Kafka was seen for that."""
        config = self.config
        with closing(Broker(config.kafka, CONNECT_SECONDS)) as broker:
            mend(self.options.recover, config, manager, sink)
            state = manager.read()
            self.progress.at_home = state is not None and sink.marker() == state.app
            snapshot = first_snapshot(broker, config.subscription, known=state.topics if state else {})
            start = partial(first_topics, config.start, broker, config.subscription, snapshot)
            refuse_pending(config, state)
            admit(config, manager, sink, state, start, self._check_for(broker, snapshot))
        return snapshot

    def _check_for(self, broker: Broker, snapshot: Snapshot) -> Callable[[Mapping[str, TopicState]], object]:
        """Raises DataLossError for what Kafka no longer has, unless the job says where to go on."""
        if self.config.on_data_loss == SKIP or self.config.start_fresh:
            return lambda topics: None
        return partial(Planner(broker, self.config.subscription, job=self.config.job).next, seen=snapshot)

    def _redone(self, sink: StagedFileSink, manager: OffsetManager) -> Committer:
        """The launch's committer, which has finished what an earlier run left prepared."""
        profile, name = PROFILES[self.config.guarantee, kind_of(self.config)], self.config.sink_class
        transaction = None
        if name is not None and profile.kind == TRANSACTIONAL:
            timeout = self.config.sink_timeout_ms
            transaction = SinkTransaction(name, timeout and timeout / 1000)
        committer = Committer(manager, sink, self.config.retain_batches, profile, transaction)
        with way_out_told(self.config.job):
            redone = committer.redo()
        if redone:
            log.info("finished batch %d, which an earlier run left prepared: %d files", redone.seq, len(redone.files))
            self.progress.add_redone(redone)
        return committer


def kind_of(config: JobConfig) -> Kind:
    """Of the job's sink, as it declares itself."""
    if config.sink_class is None:
        return STAGED
    return TRANSACTIONAL if declaration(config.sink_class).transactional else DIRECT
