"""What the sink keeps beside its data, on local disks and a real HDFS: pause switch, run reports, the pruned log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offsets.errors import DestinationExistsError
from offsets.filesystems import Filesystem
from offsets.stores.base import MemoryStore
from offsets.structs import LossRecord, LostRange, Owner, State
from streaming.run.pausing import pause_in_force
from streaming.sinks.losses import last_losses, loss_generations, record_losses
from streaming.sinks.names import batch_entry
from streaming.sinks.pause import Pause, lift_pause, paused, set_pause
from streaming.sinks.runs import keep_report, reports
from tests.contract.file_places import place_of, put, tree
from tests.contract.lakes import Lake

ME = Pause("ann@host", "2026-11-21T16:00:00+00:00", "an upgrade")


@pytest.fixture(params=["local", "webhdfs"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Filesystem:
    return place_of(request, tmp_path)


def test_the_pause_switch(sink: Filesystem) -> None:
    """Set once, seen, lifted; a file that somebody touched is one."""
    assert (paused(sink), pause_in_force(sink), lift_pause(sink)) == (None, None, None)
    assert (set_pause(sink, ME), set_pause(sink, Pause("b", "c", "d"))) == (True, False)
    assert (pause_in_force(sink), lift_pause(sink), paused(sink)) == (ME, ME, None)
    put(sink, "_paused.json", b"")
    assert pause_in_force(sink)


def test_run_reports(sink: Filesystem) -> None:
    """The newest are kept, and read from the newest on; none is overwritten."""
    assert list(reports(sink)) == []
    made = [{"timestamp": f"2026-11-21T16:00:0{n}.000Z", "runId": "0" * 32, "exitStatus": n} for n in range(4)]
    for report in made:
        keep_report(sink, report, keep=3)
    assert list(reports(sink)) == made[:0:-1]
    with pytest.raises(FileExistsError):
        keep_report(sink, made[3], keep=3)


def test_the_log_is_pruned_over_generations(sink: Filesystem) -> None:
    """By number; a generation's empty folder goes, and a reset's trace says where the next one begins."""
    lake = Lake(MemoryStore(), sink, partitions=1, folders=("a",), keep_batches=2)
    lake.run(3)
    lake.reset(70)
    newest = lake.sink.newest_batch()
    assert newest
    assert (newest.manifest.generation, newest.manifest.topics["orders"].offsets, newest.staged) == (1, {0: 70}, None)
    lake.run(2)
    put(sink, "_staging/probe-1", b"x")
    lake.launch()
    assert [entry.name for entry in sink.list("_batches")] == ["1", "1.reset.json"]
    assert [entry.name for entry in sink.list("_batches/1")] == [batch_entry(1, n)[-15:] for n in (3, 4)]
    assert not [path for path in tree(sink) if path.startswith("_staging/")]


def test_records_of_losses(sink: Filesystem) -> None:
    """Written once, as often as it is tried; another record of that generation is never overwritten."""
    lost = LostRange("EXPIRED", "t", 0, 4, 6)
    state = State("a", 1, 3, Owner("h", 1, "s", "r"), "n", 7, {}, losses=(lost,))
    assert last_losses(sink) is None
    assert [record_losses(sink, state), record_losses(sink, replace(state, epoch=4))] == [True, False]
    with pytest.raises(DestinationExistsError):
        record_losses(sink, replace(state, losses=(lost._replace(until_offset=9),)))
    assert (loss_generations(sink), last_losses(sink)) == ([1], LossRecord("a", 1, (lost,)))
    assert record_losses(sink, replace(state, generation=2))
    assert loss_generations(sink) == [1, 2]
    assert sink.list("_staging") == [], "nothing half written is left"
