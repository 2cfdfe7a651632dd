"""The soak itself, for two minutes, and its parts."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import psutil
import pytest

from offsets.protocol import created
from offsets.structs import Owner, TopicState
from servers.daemon import wait_for
from tests.soak.faults import FAULTS
from tests.soak.mover import move_on_disk
from tests.soak.nemesis import schedule
from tests.soak.producing import Produced, produced
from tests.soak.sight import at_work, went_back
from tests.soak.soak import run_soak
from tests.soak.world import PLAIN

SEED = 5


@pytest.mark.timeout(1500)
def test_two_minutes(tmp_path: Path, java_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches, processes, servers and connections are struck in mid-batch: no record is lost, doubled or made up."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    outcome = run_soak(tmp_path, 120, SEED)
    assert outcome.exact, f"the logs are in {tmp_path}"
    assert outcome.in_flight > 0


def test_a_seed_decides_the_order() -> None:
    """The same seed: the same faults with the same dice; another: others.  Each comes as often as its weight says."""

    def first(seed: int) -> list[tuple[str, float]]:
        return [(name, dice.random()) for name, dice in islice(schedule(seed, list(FAULTS)), 200)]

    assert first(1) == first(1)
    assert first(1) != first(2)
    once = [name for name, _ in first(1)][: sum(fault.weight for fault in FAULTS.values())]
    assert {name: once.count(name) for name in FAULTS} == {name: fault.weight for name, fault in FAULTS.items()}


def test_the_log_of_a_producer(tmp_path: Path) -> None:
    """Its lines become acknowledged places and unknown numbers; what was aborted is none of these."""
    entry = {"topic": PLAIN, "partition": 1, "error": None}
    entries = [
        {**entry, "outcome": "acknowledged", "offset": 4, "number": 3},
        {**entry, "outcome": "aborted", "offset": 5, "number": 9},
        {**entry, "outcome": "unknown", "offset": None, "number": 4},
    ]
    (tmp_path / "log").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in entries))
    assert produced([tmp_path / "log"]) == Produced({(PLAIN, 1, 4): 3}, {(PLAIN, 1, 4)})


def test_the_consumer_moves_a_name_once(tmp_path: Path) -> None:
    """A file that is published again under its name stays where it is, for the verdict to see."""
    lake, taken = tmp_path / "lake", tmp_path / "taken"
    for _ in range(2):
        (lake / "orders").mkdir(parents=True, exist_ok=True)
        (lake / "orders" / "a.json").write_text("{}\n")
        with suppress(FileExistsError):
            move_on_disk(lake, taken)("orders/a.json")
    assert [path.name for path in (*lake.rglob("*.json"), *taken.rglob("*.json"))] == ["a.json"] * 2


def test_a_register_that_goes_back_is_told() -> None:
    """Epoch, batch and offsets only grow."""
    before = created("app", {PLAIN: TopicState("id", {0: 7})}, Owner("host", 1, "now", "run"), "nonce", 0)
    before = replace(before, epoch=2, seq=3)
    assert went_back(before, before) == []
    now = replace(before, epoch=1, seq=2, topics={PLAIN: TopicState("id", {0: 6})})
    assert len(went_back(before, now)) == 3


def test_a_frozen_driver_is_not_at_work() -> None:
    """What it has staged is no batch in flight: the next fault waits for the launch that takes over."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        driver = psutil.Process(child.pid)
        launch: Any = SimpleNamespace(family=lambda: [driver])
        assert at_work(launch, driver.pid)
        assert not at_work(launch, driver.pid + 1)
        driver.suspend()
        wait_for(lambda: not at_work(launch, driver.pid), 60, "the driver to stop")
        driver.resume()
        wait_for(lambda: at_work(launch, driver.pid), 60, "the driver to go on")
        child.kill()
    assert not at_work(launch, driver.pid)
