"""Settings that contradict what a job promises are refused by name, all at once, before anything is connected to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from offsets.errors import ConfigError
from streaming.config.conflicts import refuse_empty
from streaming.config.reading import load
from streaming.spark import conf
from tests.unit import job_file

JOB = job_file.JOB.format(folder="/a")
DIRECT = "sink.class=own:Sink"


def problems(*overrides: str) -> tuple[str, ...]:
    """What is wrong with the job once these are set; nothing is wrong with it as it is."""
    try:
        load("job.cfg", JOB, overrides, {})
    except ConfigError as e:
        return e.problems
    return ()


SPARK = {
    "spark.streaming.concurrentJobs": "2",
    "spark.streaming.checkpoint.directory": "/tmp/points",
    "spark.sql.streaming.checkpointLocation": "/tmp/points",
    "spark.checkpoint.dir": "/tmp/points",
}


@pytest.mark.parametrize("key", SPARK)
def test_what_spark_must_not_be_set_to(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named with the reason, whether the job file says it or only spark-submit was told."""
    (found,) = problems(f"spark.{key}={SPARK[key]}")
    assert found.startswith(f"{key}: refused, ")
    assert told(monkeypatch, {key: SPARK[key]}) == (found,)


def told(monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], *overrides: str) -> tuple[str, ...]:
    """What is wrong with what spark-submit was told."""
    monkeypatch.setattr(conf, "all_told", lambda: given)
    try:
        conf.refuse_told(load("job.cfg", JOB, overrides, {}))
    except ConfigError as e:
        return e.problems
    return ()


def test_what_spark_may_be_set_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job at a time, no directory, and speculation of tasks that stage files."""
    fine = ("spark.streaming.concurrentJobs=1", "spark.checkpoint.dir=", "spark.speculation=true")
    assert problems(*(f"spark.{each}" for each in fine)) == ()
    assert told(monkeypatch, {"spark.speculation": "true", "spark.streaming.concurrentJobs": "1"}) == ()


def test_speculation_is_refused_beside_a_direct_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to the job or to spark-submit; what the job file says counts before what spark-submit was told."""
    (found,) = problems(DIRECT, "spark.spark.speculation=TRUE")
    assert found.startswith("spark.speculation: refused beside sink.class")
    assert told(monkeypatch, {"spark.speculation": "true"}, DIRECT) == (found,)
    assert told(monkeypatch, {"spark.speculation": "true"}, DIRECT, "spark.spark.speculation=false") == ()
    assert problems(DIRECT, "spark.spark.speculation=false") == ()


BESIDE = (
    *("job.function=a:b", "job.setup=a:b", "job.badRecords=skip", "job.badRecords.maxShare=0.1"),
    *("sink.format=json", "sink.compression=gzip", "sink.path.format={topic}", "sink.timezone=UTC"),
    *("sink.timestamp.extractor=Record", "hive.integration=false", "hive.database=x"),
)


@pytest.mark.parametrize("setting", BESIDE)
def test_what_a_direct_sink_has_no_use_for_is_refused(setting: str) -> None:
    """By its name, also where the value is the default: the job expects something that would not happen."""
    name = setting.partition("=")[0]
    assert [each for each in problems(DIRECT, setting) if each.startswith(f"{name}: refused beside sink.class: ")]


def test_a_direct_sink_keeps_the_settings_of_its_notes() -> None:
    """sink.path and what is retained there say nothing of files; all that is refused is refused at once."""
    assert problems(DIRECT, "sink.retain.runs=5", "sink.retain.batches=200") == ()
    assert len(problems(DIRECT, "job.function=a:b", "sink.format=text", "spark.spark.speculation=true")) == 3


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_a_fresh_start_is_for_at_most_once_only(guarantee: str) -> None:
    """Any other guarantee is named, with the one that it goes with."""
    fresh = ("source.startFresh=true", "source.startingOffsets=latest")
    (found,) = problems(*fresh, f"job.delivery.guarantee={guarantee}")
    assert found.startswith("source.startFresh = true: ")
    assert guarantee in found
    assert problems(*fresh, "job.delivery.guarantee=at-most-once") == ()


@pytest.mark.parametrize("start", ["startingOffsets=earliest", "startingTimestamp=5"])
def test_a_fresh_start_has_one_beginning(start: str) -> None:
    """A beginning that would never be looked at is refused."""
    given = ("source.startFresh=true", "job.delivery.guarantee=at-most-once", f"source.{start}")
    assert f"source.{start.partition('=')[0]}: source.startFresh" in "\n".join(problems(*given))


@pytest.mark.parametrize(
    ("name", "value"),
    [("enable.auto.commit", "true"), ("auto.offset.reset", "latest"), ("auto.offset.reset", "earliest")],
)
def test_clients_must_not_commit_or_reset_by_themselves(name: str, value: str) -> None:
    """Refused by name, with what it always is and why."""
    (found,) = problems(f"kafka.{name}={value}")
    assert found.startswith(f"kafka.{name}: refused, it is always ")
    assert found.endswith(("the register alone says what was consumed", "it is never skipped"))


def test_a_run_to_the_end_cannot_start_fresh() -> None:
    """--available-now would begin where it ends, for ever: refused; any other run is fine, and so are other jobs."""
    given = ("source.startFresh=true", "source.startingOffsets=latest", "job.delivery.guarantee=at-most-once")
    fresh = load("job.cfg", JOB, given, {})
    with pytest.raises(ConfigError, match="--available-now") as refused:
        refuse_empty(fresh, available_now=True)
    assert refused.value.exit_status == 2
    refuse_empty(fresh, available_now=False)
    refuse_empty(load("job.cfg", JOB, (), {}), available_now=True)


@pytest.mark.parametrize(("guarantee", "most"), [("at-most-once", "1"), ("at-least-once", None)])
def test_tasks_that_would_only_be_refused_are_not_tried_again(guarantee: str, most: str | None, tmp_path: Path) -> None:
    """Under at-most-once the first failure of a direct sink's task is the one that is told; a job may say otherwise."""
    given = (DIRECT, f"job.delivery.guarantee={guarantee}")
    assert conf.configured(load("job.cfg", JOB, given, {}), False, tmp_path).get("spark.task.maxFailures", None) == most
    own = load("job.cfg", JOB, (*given, "spark.spark.task.maxFailures=3"), {})
    assert conf.configured(own, False, tmp_path).get("spark.task.maxFailures") == "3"
    staged = load("job.cfg", JOB, given[1:], {})
    assert conf.configured(staged, False, tmp_path).get("spark.task.maxFailures", None) is None


def test_a_timeout_is_for_sinks_of_the_users() -> None:
    """Files are bounded by their servers' deadlines."""
    (found,) = problems("sink.timeout.ms=1000")
    assert found.startswith("sink.timeout.ms: only beside sink.class")
    assert problems("sink.timeout.ms=1000", DIRECT) == ()
