"""A direct sink's batch that a crash left pending: who may finish it, and who is refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from offsets.errors import DestinationExistsError, RegisterError
from offsets.filesystems import LocalFilesystem
from offsets.protocol import advance
from offsets.structs import Manifest, ManifestRef, OffsetRange, Owner, Pending, State, TopicState
from streaming.config.job import JobConfig
from streaming.config.reading import load
from streaming.run.pending import refuse_pending, written_again
from streaming.sinks import direct
from streaming.sinks.batch_log import log_written, logged_numbers
from tests.unit import job_file

RANGES = (OffsetRange("orders", 0, 5, 9), OffsetRange("orders", 1, 0, 3))
TOPICS = {"orders": TopicState("id", {0: 5, 1: 0})}
STATE = State("a" * 32, 0, 3, Owner("h", 1, "now", "run"), "n", 7, TOPICS, Pending(RANGES, None), "prepare")
STAGED = replace(STATE, pending=Pending(RANGES, ManifestRef("p", "0" * 64, 1)))


@pytest.fixture(autouse=True)
def _sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """pending_sinks:Upsert is idempotent, pending_sinks:Append is not, pending_sinks:Whole is a transaction."""
    code = "class {}:\n    idempotent = {}\n    def write_partition(self, range_, records): ...\n"
    whole = (
        "class Whole(Append):\n    transactional = True\n    def commit_batch(self, connection, batch, results): ...\n"
    )
    (tmp_path / "pending_sinks.py").write_text(code.format("Upsert", True) + code.format("Append", False) + whole)
    monkeypatch.syspath_prepend(str(tmp_path))
    direct.opened.cache_clear()
    yield
    direct.opened.cache_clear()


def job(*settings: str) -> JobConfig:
    return load("job.cfg", job_file.JOB.format(folder="/a"), settings, {})


UPSERT, APPEND = "sink.class=pending_sinks:Upsert", "sink.class=pending_sinks:Append"
TRANSACTION = "sink.class=pending_sinks:Whole"
AT_LEAST, AT_MOST = "job.delivery.guarantee=at-least-once", "job.delivery.guarantee=at-most-once"
FRESH = ("source.startFresh=true", "source.startingOffsets=latest")


@pytest.mark.parametrize("settings", [(UPSERT,), (UPSERT, AT_LEAST), (APPEND, AT_LEAST), (UPSERT, AT_MOST)])
def test_who_may_write_it_again(settings: tuple[str, ...]) -> None:
    """A direct sink of which a second write changes nothing, or whose guarantee lets the batch in flight be doubled."""
    refuse_pending(job(*settings), STATE)
    assert written_again(STATE) is not None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ((), "no sink.class"),
        ((UPSERT, AT_MOST, *FRESH), "source.startFresh"),
        ((APPEND, AT_MOST), "is not idempotent"),
        ((TRANSACTION,), "its rows come with their offsets"),
    ],
)
def test_who_is_refused(settings: tuple[str, ...], told: str) -> None:
    """Exit 3 with every range, the reason and what to do."""
    with pytest.raises(RegisterError, match=told) as refused:
        refuse_pending(job(*settings), STATE)
    assert refused.value.exit_status == 3
    assert "batch 7" in str(refused.value)
    assert "orders-0[5,9), orders-1[0,3)" in str(refused.value)
    assert "launch" in refused.value.remedy


@pytest.mark.parametrize("state", [None, STAGED])
def test_staged_files_are_published_by_any_job(state: State | None) -> None:
    """A batch with a manifest is finished without its sink, also by a job that has a direct one now."""
    refuse_pending(job(), state)
    refuse_pending(job(APPEND, AT_MOST), state)
    assert state is None or written_again(state) is None


def test_the_very_ranges_are_planned_again() -> None:
    """From the committed offsets, and more may come behind them."""
    plan = written_again(STATE)
    assert plan is not None
    assert (plan.ranges, plan.topics, plan.left > 0) == (RANGES, TOPICS, True)


def manifest(epoch: int, ranges: tuple[OffsetRange, ...] = RANGES) -> Manifest:
    return Manifest("a" * 32, 0, epoch, 7, ranges, advance(TOPICS, ranges), (), 5, 1_700_000_000_000 + epoch)


def test_a_redo_finds_its_entry_in_the_batch_log(tmp_path: Path) -> None:
    """The crash came behind `log`: the entry of the first attempt stays.  One of other ranges is another batch's."""
    filesystem = LocalFilesystem(f"{tmp_path}/lake")
    log_written(filesystem, manifest(epoch=3))
    before = filesystem.read("_batches/0/0000000007.json")
    log_written(filesystem, manifest(epoch=4))
    assert filesystem.read("_batches/0/0000000007.json") == before
    with pytest.raises(DestinationExistsError, match="is of another batch"):
        log_written(filesystem, manifest(epoch=4, ranges=RANGES[:1]))
    assert logged_numbers(filesystem, 0) == [7]
    assert filesystem.list("_staging") == []
