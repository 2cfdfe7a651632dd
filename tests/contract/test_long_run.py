"""A day in small, without Spark: thousands of batches of one process on a local disk leave nothing behind."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import psutil
import pytest

from offsets.filesystems import LocalFilesystem
from offsets.stores import open_store
from streaming.verification.verify import verify
from tests.contract.file_places import tree
from tests.contract.lakes import Lake


@pytest.mark.full
def test_two_thousand_batches_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of register, log and staging are bounded, the process does not grow, the last batches are as fast."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    store, sink = open_store(f"file://{tmp_path}/offsets", retain_states=50), LocalFilesystem(f"{tmp_path}/lake")
    lake = Lake(store, sink, partitions=2, folders=("a",), keep_batches=100)
    spent, rss = [], []
    for _ in range(20):
        began = time.process_time()
        lake.run(100)
        spent.append(time.process_time() - began)
        rss.append(psutil.Process().memory_info().rss / 1e6)
    assert statistics.median(spent[-5:]) <= 1.5 * statistics.median(spent[2:7]), spent
    assert rss[-1] - rss[4] < 8, rss
    assert len(sink.list("_batches/0")) == 100
    assert len(list((tmp_path / "offsets" / "state").iterdir())) <= 51
    assert not [path for path in tree(sink) if path.startswith("_staging/")]
    verdict = verify(store, sink)
    assert (verdict.findings, verdict.counts.batches, verdict.counts.older) == ((), 100, 3800)
