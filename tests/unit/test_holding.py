"""The lock around a run."""

from __future__ import annotations

from pathlib import Path

from offsets import failpoints
from offsets.manager import current_owner
from offsets.stores import open_store
from streaming.run.holding import held


def test_the_lock_is_a_step(tmp_path: Path) -> None:
    """Its failpoints lie before and behind the waiting for it; inside the block somebody holds it."""
    store, reached = open_store(f"file://{tmp_path}/offsets"), list[str]()
    failpoints.arm(reached.append)
    try:
        with held(store, current_owner("run")):
            failpoints.reach("read.before")
            assert store.holder() is not None
    finally:
        failpoints.arm(None)
    assert reached == ["lock.before", "lock.after", "read.before"]
