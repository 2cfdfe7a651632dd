"""The runner: single flight, first failure stops, drains.  Spark, Kafka and the sink are fakes of a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from offsets.backpressure import Measured
from offsets.errors import DataLossError, Loss, UnavailableError
from offsets.manager import OffsetManager, current_owner
from offsets.planning import Plan
from offsets.store import MemoryStore
from offsets.structs import Manifest, ManifestRef, OffsetRange, TopicPartition, TopicState
from streaming.committer import Committer, TaskResult
from streaming.pacing import Pace, Pacing
from streaming.progress import BatchReport
from streaming.runner import Drain, Runner

START = datetime(2026, 11, 21, 12, 0, 0)


class FakeSink:
    """Remembers what was published."""

    filesystem: Any = None  # only retention would look at it, and not before a hundred thousand batches

    def __init__(self) -> None:
        self.published: list[Manifest] = []

    def write_manifest(self, manifest: Manifest) -> ManifestRef:
        return ManifestRef(f"_staging/{manifest.epoch}/{manifest.seq}/manifest.json", "0" * 64, len(manifest.files))

    def publish(self, ref: ManifestRef, manifest: Manifest, changed: Any, check_lengths: bool = False) -> None:
        self.published.append(manifest)

    def collect_garbage(self, older_than: tuple[int, int]) -> None:
        pass


class FakePlanner:
    """Ten offsets a batch of one partition, up to `end`."""

    def __init__(self, end: int) -> None:
        self.end, self.latest = end, {TopicPartition("t", 0): end}
        self.error: Exception | None = None
        self.replaced: Exception | None = None
        self.learned: list[Measured] = []
        self.learn = self.learned.append

    def next(self, cursor: Mapping[str, TopicState]) -> Plan:
        if self.error:
            raise self.error
        at = cursor["t"].offsets[0]
        ranges = (OffsetRange("t", 0, at, min(at + 10, self.end)),) if at < self.end else ()
        return Plan(ranges, cursor)

    def confirm(self, plan: Plan) -> None:
        if self.replaced:
            raise self.replaced


class Run:
    """A runner on fakes; `tick` is what Spark does at a batch time."""

    def __init__(self, end: int = 25, stop_when_idle: bool = True) -> None:
        self.manager = OffsetManager(MemoryStore(), current_owner("run"))
        self.manager.read()
        self.manager.create("a" * 32, {"t": TopicState("id", {0: 0})})
        self.manager.take()
        self.sink, self.planner, self.drain = FakeSink(), FakePlanner(end), Drain()
        self.reports: list[BatchReport] = []
        self.stage_error: Exception | None = None
        committer = Committer(self.manager, self.sink)  # type: ignore[arg-type]
        self.runner = Runner(
            self.manager,
            self.planner,  # type: ignore[arg-type]
            committer,
            self.stage,
            self.reports.append,
            self.drain,
            Pacing(Pace(0.0, to_ends=stop_when_idle)),
        )
        self.ticks = 0

    def stage(self, rdd: Any, place: Any) -> Sequence[TaskResult]:
        if self.stage_error:
            raise self.stage_error
        return [TaskResult(r, (), r.size(), 0, 0) for r in rdd]

    def plan(self) -> Sequence[OffsetRange]:
        self.ticks += 1
        return self.runner.plan(START + timedelta(seconds=self.ticks))

    def tick(self) -> None:
        if ranges := self.plan():
            self.runner.run_batch(START + timedelta(seconds=self.ticks), ranges)  # type: ignore[arg-type]

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
    ranges = run.plan()
    run.drain.request()
    run.runner.run_batch(START + timedelta(seconds=run.ticks), ranges)  # type: ignore[arg-type]
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
    now = iter(range(0, 100_000, 50))
    run.runner._clock = lambda: float(next(now))
    run.runner.wait(lambda: None, 0.001)
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


@pytest.mark.parametrize("status", [0, 3])
def test_summary_has_the_field_names_of_structured_streaming(status: int) -> None:
    """The JSON line adds the batches up and carries offsets as text-keyed partitions."""
    from streaming.progress import RunProgress

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
