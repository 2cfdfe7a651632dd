"""The runner: single flight, first failure stops, drains.  Spark, Kafka and the sink are fakes of a few lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from offsets import failpoints
from offsets.backpressure import Measured
from offsets.errors import DataLossError, FencedError, Loss, LostBatchError, StreamError, UnavailableError
from offsets.manager import OffsetManager, current_owner
from offsets.planning import Plan
from offsets.profiles import PLAN, PROFILES, STAGED
from offsets.stores.base import MemoryStore
from offsets.structs import (
    AT_LEAST_ONCE,
    AT_MOST_ONCE,
    EXACTLY_ONCE,
    GUARANTEES,
    Manifest,
    ManifestRef,
    OffsetRange,
    TopicPartition,
    TopicState,
)
from streaming.run import runner
from streaming.run.committer import Committer
from streaming.run.pacing import Pace, Pacing
from streaming.run.progress import BatchReport
from streaming.run.runner import AT_THE_ENDS, DRAINED, TICK_SECONDS, Drain, Runner
from streaming.tasks.result import TaskResult

START = datetime(2026, 11, 21, 12, 0, 0)


class FakeSink:
    """Remembers what was published."""

    filesystem: Any = None  # only retention would look at it, and not before a hundred thousand batches

    def __init__(self) -> None:
        self.published: list[Manifest] = []

    def write_manifest(self, manifest: Manifest) -> ManifestRef:
        return ManifestRef(f"_staging/{manifest.epoch}/{manifest.seq}/manifest.json", "0" * 64, len(manifest.files))

    def publish(self, ref: ManifestRef, manifest: Manifest, changed: Any, log: bool) -> None:
        self.published.append(manifest)

    def log_batch(self, ref: ManifestRef, manifest: Manifest, changed: Any) -> None:
        pass

    def collect_garbage(self, older_than: tuple[int, int]) -> None:
        pass


class FakePlanner:
    """Ten offsets a batch of one partition, up to `end`."""

    skips = False

    def __init__(self, end: int) -> None:
        self.end, self.latest = end, {TopicPartition("t", 0): end}
        self.error: Exception | None = None
        self.replaced: Exception | None = None
        self.planned: Callable[[], object] = lambda: None
        self.learned: list[Measured] = []
        self.learn = self.learned.append

    def next(self, cursor: Mapping[str, TopicState]) -> Plan:
        if self.error:
            raise self.error
        at = cursor["t"].offsets[0]
        ranges = (OffsetRange("t", 0, at, min(at + 10, self.end)),) if at < self.end else ()
        self.planned()
        return Plan(ranges, cursor, self.end - min(at + 10, self.end))

    def confirm(self, plan: Plan) -> None:
        if self.replaced:
            raise self.replaced


class Clock:
    """Both clocks of a runner, which stand still but for what is waited or worked."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], object] = lambda: None  # what happens while the runner waits

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return START.timestamp() + self.now

    def wait(self, seconds: float) -> bool:
        assert seconds > 0
        self.now += seconds
        self.meanwhile()
        return True


class Run:
    """A runner on fakes; `tick` is what Spark does at a batch time."""

    def __init__(
        self,
        end: int = 25,
        stop_when_idle: bool = True,
        pace: Pace | None = None,
        real: bool = False,
        guarantee: str = EXACTLY_ONCE,
    ) -> None:
        self.manager = OffsetManager(MemoryStore(), current_owner("run"))
        self.manager.read()
        self.manager.create("a" * 32, {"t": TopicState("id", {0: 0})})
        self.manager.take()
        self.sink, self.planner, self.drain = FakeSink(), FakePlanner(end), Drain()
        self.reports: list[BatchReport] = []
        self.stage_error: Exception | None = None
        self.staging = 0.0  # seconds that staging takes
        self.clock = Clock()
        profile = PROFILES[guarantee, STAGED]
        committer = Committer(self.manager, self.sink, profile=profile)  # type: ignore[arg-type]
        self.runner = Runner(
            self.manager,
            self.planner,  # type: ignore[arg-type]
            committer,
            self.stage,
            self.reports.append,
            self.drain,
            Pacing(pace or Pace(0.0, to_ends=stop_when_idle)),
            *((time.monotonic, START.timestamp) if real else (self.clock, self.clock.wall)),
        )
        if not real:
            self.runner._guard.wait = self.clock.wait  # type: ignore[assignment, method-assign]
        self.ticks = 0
        self.starts: list[float] = []

    def stage(self, rdd: Any, place: Any) -> Sequence[TaskResult]:
        self.starts.append(round(self.clock.now, 6))
        if self.stage_error:
            raise self.stage_error
        self.clock.now += self.staging
        return [TaskResult(r, (), r.size(), 0, 0) for r in rdd]

    def plan(self) -> Sequence[OffsetRange]:
        self.ticks += 1
        return self.runner.plan(START + timedelta(seconds=self.ticks))

    def tick(self) -> None:
        if ranges := self.plan():
            self.runner.run_batch(START + timedelta(seconds=self.ticks), ranges)  # type: ignore[arg-type]

    def fail_from(self, batches: int) -> None:
        if len(self.starts) >= batches:
            self.stage_error = RuntimeError("boom")

    def drive(self, seconds: float) -> list[float]:
        """What Spark does: a tick every TICK_SECONDS, late ones one after the other.  When batches have begun."""
        while not self.finished and self.clock.now < seconds:
            at = self.ticks * TICK_SECONDS
            self.ticks += 1
            self.clock.now = max(self.clock.now, at)
            time = START + timedelta(seconds=at)
            if ranges := self.runner.plan(time):
                self.runner.run_batch(time, ranges)  # type: ignore[arg-type]
        return self.starts

    @property
    def finished(self) -> bool:
        return self.runner._finished.is_set()

    @property
    def committed(self) -> int:
        return self.manager.state.topics["t"].offsets[0]


def test_batches_follow_each_other_to_the_end() -> None:
    """Available-now: batch after batch, then finished without a failure."""
    run = Run(end=25)
    for _ in range(4):
        run.tick()
    assert [r.manifest.ranges[0].until_offset for r in run.reports] == [10, 20, 25]
    assert [r.lag for r in run.reports] == [15, 5, 0]
    assert run.finished
    assert run.runner.failure is None


def test_one_batch_in_flight() -> None:
    """While a batch is on its way, a tick plans nothing."""
    run = Run()
    assert run.plan()
    assert not run.plan()


def test_the_first_failure_ends_the_run() -> None:
    """Nothing is planned, prepared or committed past a failed batch."""
    run = Run()
    run.tick()
    run.stage_error = RuntimeError("boom")
    run.tick()
    run.stage_error = None
    run.tick()
    assert run.committed == 10
    assert run.finished
    assert "boom" in str(run.runner.failure)
    assert run.manager.state.pending is None


def test_a_batch_that_at_most_once_loses_is_told() -> None:
    """A failed task: offsets are committed, the run ends with the task's own status and names the ranges."""
    run = Run(guarantee=AT_MOST_ONCE)
    run.tick()
    run.stage_error = UnavailableError("broker gone", "wait")
    run.tick()
    failure = run.runner.failure
    assert (run.committed, len(run.sink.published)) == (20, 1)
    assert isinstance(failure, LostBatchError)
    assert (failure.exit_status, failure.ranges) == (69, (OffsetRange("t", 0, 10, 20),))
    assert failure.remedy == "wait; whatever is done, the next launch goes on behind this batch"
    assert str(failure).startswith("broker gone; batch 1 was committed first")
    assert str(failure).endswith("t-0[10,20)")
    assert run.runner.cause is run.stage_error


@pytest.mark.parametrize(("error", "lost"), [(FencedError("other"), False), (UnavailableError("no reply"), True)])
def test_a_commit_that_fails_may_have_lost_the_batch(error: StreamError, lost: bool) -> None:
    """At-most-once: not when another driver was faster, but when nobody knows whether it was written."""
    run = Run(guarantee=AT_MOST_ONCE)

    def refuse(*_: object) -> None:
        raise error

    run.manager._store.replace = refuse  # type: ignore[assignment, method-assign]
    run.tick()
    assert run.starts == [], "nothing is read before it is committed"
    assert isinstance(run.runner.failure, LostBatchError) == lost
    assert run.runner.failure
    assert run.runner.failure.exit_status == error.exit_status


@pytest.mark.parametrize("guarantee", [EXACTLY_ONCE, AT_LEAST_ONCE])
def test_other_guarantees_lose_nothing_by_a_failed_task(guarantee: str) -> None:
    """Nothing is committed before it is published: the next launch reads the batch again."""
    run = Run(guarantee=guarantee)
    run.stage_error = RuntimeError("boom")
    run.tick()
    assert (run.committed, isinstance(run.runner.failure, LostBatchError)) == (0, False)


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_steps_are_those_of_the_profile(guarantee: str) -> None:
    """Each batch passes the profile's steps in the order of the table, all failpoints of a step included."""
    run, reached = Run(end=10, guarantee=guarantee), list[str]()
    failpoints.arm(reached.append)
    try:
        run.tick()
    finally:
        failpoints.arm(None)
    steps = PROFILES[guarantee, STAGED].steps
    found = [name for name in reached if name.split(".")[0] in {step.name for step in (PLAN, *steps)}]
    whens = {False: ("before", "after"), True: ("before", "sent", "after")}
    assert found == [f"{step.name}.{when}" for step in (PLAN, *steps) for when in whens[step.writes]]
    assert list(run.reports[0].duration_ms) == ["plan", *(step.name for step in steps)]
    assert run.reports[0].manifest.guarantee == guarantee


def test_a_failed_plan_ends_the_run() -> None:
    """A broker that is gone past its deadline ends the run with its own exit status."""
    run = Run()
    run.planner.error = UnavailableError("gone")
    run.tick()
    assert run.finished
    assert run.runner.failure
    assert run.runner.failure.exit_status == 69


def test_a_topic_replaced_during_the_batch_is_not_committed() -> None:
    """The topic's id is compared after staging: what was read from another topic is never prepared."""
    run = Run()
    run.planner.replaced = DataLossError([Loss("REPLACED", "t", -1, -1, -1, -1)])
    run.tick()
    assert (run.committed, run.sink.published) == (0, [])
    assert run.runner.failure
    assert run.runner.failure.exit_status == 3


def test_drain_finishes_the_batch_in_flight() -> None:
    """SIGTERM in mid-batch: that batch is committed, no other is planned, no failure."""
    run = Run(stop_when_idle=False)
    ranges, at = run.plan(), START + timedelta(seconds=run.ticks)
    run.drain.request()
    assert not run.plan()
    assert not run.finished, "Spark must not be stopped under the batch"
    run.runner.run_batch(at, ranges)  # type: ignore[arg-type]
    assert not run.plan()
    assert (run.finished, run.committed, run.runner.failure) == (True, 10, None)


def test_drain_while_idle_ends_at_once() -> None:
    """Between batches the wait itself ends the run, without another tick."""
    run = Run(end=0, stop_when_idle=False)
    run.drain.request()
    run.runner.wait(lambda: None, 0.01)
    assert run.finished


def test_an_error_of_spark_itself_ends_the_wait() -> None:
    """What Spark reports outside of a batch stops the run instead of hanging it."""
    run = Run(stop_when_idle=False)

    def check() -> None:
        raise RuntimeError("job generator died")

    run.runner.wait(check, 0.01)
    assert "job generator died" in str(run.runner.failure)


def test_a_silent_spark_ends_the_wait() -> None:
    """A wall clock set back stops Spark's ticks: the run ends instead of holding the lock for hours."""
    run = Run(stop_when_idle=False)

    def pass_by() -> None:
        run.clock.now += 50

    run.runner.wait(pass_by, 0.001)
    assert "clock set back" in str(run.runner.failure)


def test_a_slow_start_of_spark_is_no_silence() -> None:
    """An hour in a cluster's queue before the first tick does not end the run."""
    run = Run(stop_when_idle=False)
    run.runner._ticked -= 3600
    run.runner.wait(lambda: run.drain.request(), 0.001)
    assert run.runner.failure is None


def test_idle_goes_on_without_available_now() -> None:
    """A continuous run stays when there is nothing to read."""
    run = Run(end=0, stop_when_idle=False)
    run.tick()
    assert not run.finished


def test_a_batch_of_another_time_is_ignored() -> None:
    """A batch that is not the one in flight changes nothing."""
    run = Run()
    ranges = run.plan()
    run.runner.run_batch(START, ranges)  # type: ignore[arg-type]
    assert (run.committed, run.reports) == (0, [])


def test_results_must_be_those_of_the_plan() -> None:
    """A result too few, as after a lost partition, stops the run before anything is decided."""
    run = Run()
    run.runner._stage = lambda rdd, place: []
    run.tick()
    assert run.committed == 0
    assert run.runner.failure


@pytest.mark.parametrize(
    ("pace", "staging", "starts"),
    [
        (Pace(1.0), 1.2, [0.0, 1.2, 2.4, 3.6]),  # longer than the interval: the next one begins at the commit
        (Pace(1.03), 0.3, [0.0, 0.3, 0.6, 0.9]),  # a backlog: without a pause, not tick by tick
        (Pace(1.03, rated=True), 0.31, [0.0, 1.03, 2.06, 3.09]),  # due between two ticks of Spark
        (Pace(1.0, rated=True), 1.2, [0.0, 1.2, 2.4, 3.6]),
        (Pace(1.0, to_ends=True), 0.123, [0.0, 0.123, 0.246, 0.369]),
        (Pace(1.0, rated=True, to_ends=True), 0.123, [0.0, 1.0, 2.0, 3.0]),
    ],
)
def test_batches_begin_when_they_are_due(pace: Pace, staging: float, starts: list[float]) -> None:
    """Whatever Spark's ticks are: no time is lost to them, and none is saved where a rate must hold."""
    run = Run(end=40, pace=pace)
    run.staging = staging
    assert run.drive(60.0) == pytest.approx(starts)
    assert run.finished == pace.to_ends
    assert [r.lag for r in run.reports] == [30, 20, 10, 0]


def test_new_records_wait_for_the_interval() -> None:
    """When all was read, the next look is an interval after the last one, whether or not that found anything."""
    run = Run(end=10, pace=Pace(1.03))
    looks: list[float] = []
    run.planner.planned = lambda: looks.append(round(run.clock.now, 6))
    run.drive(4.0)
    assert looks == [0.0, 1.03, 2.06, 3.09]
    assert run.starts == [0.0]


def test_a_tick_waits_no_longer_than_until_the_next() -> None:
    """Or Spark's ticks would pile up while a batch runs; one that is late already is answered at once."""
    run = Run()
    assert run.runner.plan(START)
    run.clock.now = 0.01
    assert not run.runner.plan(START + timedelta(seconds=0.001))
    assert run.clock.now == pytest.approx(0.001 + TICK_SECONDS, abs=0.001)
    before = run.clock.now
    assert not run.runner.plan(START + timedelta(seconds=0.001))
    assert run.clock.now == before
    assert not run.runner.plan(START + timedelta(hours=1))
    assert run.clock.now == pytest.approx(before + TICK_SECONDS), "whatever the wall clock says"


def test_a_waiting_tick_begins_when_the_batch_is_committed() -> None:
    """The thread of Spark's timer waits in one batch's time for the next one, and is woken by the commit."""
    run = Run()
    ranges = run.plan()
    at = START + timedelta(seconds=run.ticks)
    run.clock.meanwhile = lambda: run.runner.run_batch(at, ranges)  # type: ignore[arg-type]
    run.clock.now = float(run.ticks)
    assert [r.from_offset for r in run.runner.plan(at + timedelta(milliseconds=1))] == [10]
    assert run.committed == 10


def test_the_wait_is_one_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """With real clocks and threads: the commit itself wakes the tick that waits."""
    monkeypatch.setattr(runner, "TICK_SECONDS", 60.0)
    run = Run(real=True)
    ranges, found = run.plan(), []
    waiting = threading.Thread(target=lambda: found.append(run.plan()), daemon=True)
    began = time.monotonic()
    waiting.start()
    run.runner.run_batch(START + timedelta(seconds=1), ranges)  # type: ignore[arg-type]
    waiting.join(30.0)
    assert [r.from_offset for r in found[0]] == [10]
    assert time.monotonic() - began < 30.0


@pytest.mark.parametrize("to_ends", [False, True])
def test_the_duration_ends_a_run_between_batches(to_ends: bool) -> None:
    """The batch in flight when it is over is committed, no other begins, and the run says why it ended."""
    run = Run(end=1000, pace=Pace(1.0, duration=2.5, to_ends=to_ends))
    run.staging = 1.0
    assert run.drive(60.0) == [0.0, 1.0, 2.0]
    assert (run.finished, run.committed, run.runner.failure) == (True, 30, None)
    assert run.runner.reason == "drained after the 2.5 s of --duration"


def test_the_ends_come_before_the_duration() -> None:
    """--available-now with --duration: whichever comes first."""
    run = Run(end=20, pace=Pace(1.0, duration=60.0, to_ends=True))
    run.drive(600.0)
    assert (run.committed, run.runner.reason) == (20, AT_THE_ENDS)


def test_the_duration_ends_an_idle_run() -> None:
    """Also while nothing comes, and also when Spark's ticks are waited for by nobody."""
    run = Run(end=0, pace=Pace(10.0, duration=2.5))
    run.drive(60.0)
    assert run.clock.now == pytest.approx(2.5, abs=TICK_SECONDS)
    run = Run(end=0, pace=Pace(10.0, duration=0.0))
    run.plan()
    run.runner.wait(lambda: None, 0.01)
    assert "--duration" in run.runner.reason


def test_drain_while_planning_begins_no_batch() -> None:
    """SIGTERM while Kafka is asked: what was planned is let go, nothing is in flight."""
    run = Run()
    run.planner.planned = run.drain.request
    assert not run.plan()
    assert (run.finished, run.runner.reason, run.starts) == (True, DRAINED, [])


def test_drain_while_a_tick_waits() -> None:
    """SIGTERM between two batches: the tick that waits for the next due time ends with the run."""
    run = Run(end=0, pace=Pace(10.0))
    run.plan()
    run.clock.now = float(run.ticks + 1)
    run.clock.meanwhile = run.drain.request
    assert not run.plan()
    assert (run.finished, run.runner.reason) == (True, DRAINED)


def test_only_committed_batches_are_learned_from() -> None:
    """Backpressure is told when a batch ended, its offsets, how long it took and how late it was; of no failed one."""
    run = Run(end=100, pace=Pace(1.0, rated=True))
    run.staging = 1.2
    run.planner.planned = lambda: run.fail_from(2)
    run.drive(60.0)
    assert run.committed == 20
    assert run.planner.learned == [Measured(1200, 10, 1200, 0), Measured(2400, 10, 1200, 200)]


@pytest.mark.parametrize("status", [0, 3])
def test_summary_has_the_field_names_of_structured_streaming(status: int) -> None:
    """The JSON line adds the batches up and carries offsets as text-keyed partitions."""
    from streaming.run.progress import RunProgress

    run = Run(end=25)
    progress = RunProgress("job", "id", "sink", source="Subscribe[t]", clock=iter(range(100)).__next__)
    for _ in range(4):
        run.tick()
    for report in run.reports:
        progress.add(replace(report, results=tuple(replace(r, filtered=2) for r in report.results)))
        assert " 0 filtered, 0 bad" in report.line()
    progress.see_latest(run.planner.latest)
    summary = progress.summary(status, "because")
    (source,) = summary["sources"]
    assert source["description"] == "KafkaDirectStream[Subscribe[t]]"
    assert (summary["numInputRows"], summary["batches"], summary["exitStatus"]) == (25, 3, status)
    assert (source["startOffset"], source["endOffset"], source["latestOffset"]) == (
        {"t": {"0": 0}},
        {"t": {"0": 25}},
        {"t": {"0": 25}},
    )
    assert summary["filteredRecords"] == 2 * 3
    assert {"inputRowsPerSecond", "processedRowsPerSecond", "sink", "badRecords", "exitReason"} <= summary.keys()
