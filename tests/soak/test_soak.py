"""The soak itself, for two minutes, and that it would see what it looks for."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import orjson
import pytest

from tests.soak.faults import FAULTS
from tests.soak.nemesis import schedule
from tests.soak.producing import Place, Produced, produced
from tests.soak.soak import run_soak
from tests.soak.verdict import Landed, Verdict, judge
from tests.soak.world import COMPACTED, PLAIN

SEED = 5
RECORDS = 10


@pytest.mark.timeout(1200)
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


def sent(topic: str = PLAIN) -> Produced:
    return Produced({(topic, 0, offset): offset for offset in range(RECORDS)})


def there(topic: str = PLAIN) -> Landed:
    found = Landed()
    for offset in range(RECORDS):
        add(found, offset, topic=topic)
    return found


def add(found: Landed, offset: int, number: int | None = None, topic: str = PLAIN, aborted: bool = False) -> None:
    """A file with this one record."""
    row = {"topic": topic, "partition": 0, "offset": offset, "number": offset if number is None else number}
    found.add(orjson.dumps({**row, "aborted": aborted}) + b"\n")


def seen(given: Produced, found: Landed, now: set[Place] | None = None) -> tuple[int, int, int]:
    """Lost, doubled, phantom; `now`: what is readable."""
    told = judge(given, found, set() if now is None else now, {COMPACTED}, 0, [])
    return told.lost, told.doubled, told.phantom


def test_all_is_there() -> None:
    """What was acknowledged has landed once: exact, also if it cannot be read any more."""
    assert seen(sent(), there()) == (0, 0, 0)
    assert judge(sent(), there(), set(sent().acknowledged), {COMPACTED}, 0, []).exact


def test_lost() -> None:
    """Acknowledged or readable, and not landed; a compacted topic may have lost what is not readable any more."""
    assert seen(sent(), Landed()) == (RECORDS, 0, 0)
    assert seen(Produced(), Landed(), {(PLAIN, 0, 7)}) == (1, 0, 0)
    assert seen(sent(COMPACTED), Landed()) == (0, 0, 0)
    assert seen(sent(COMPACTED), Landed(), {(COMPACTED, 0, 7)}) == (1, 0, 0)


def test_doubled() -> None:
    """The same place twice, or the same number at two places, as by a reader of aborted records."""
    found = there()
    add(found, 3)
    assert seen(sent(), found) == (0, 1, 0)
    found = there()
    add(found, RECORDS, number=3)
    assert seen(sent(), found, {(PLAIN, 0, RECORDS)}) == (0, 1, 0)


def test_phantom() -> None:
    """Never committed, marked as aborted, or another record than was sent there."""
    found = there()
    add(found, RECORDS)
    assert seen(sent(), found) == (0, 0, 1)
    found = there()
    add(found, RECORDS, aborted=True)
    assert seen(sent(), found, {(PLAIN, 0, RECORDS)}) == (0, 0, 1)
    given = sent()
    given.acknowledged[PLAIN, 0, 3] = 99
    assert seen(given, there()) == (0, 0, 1)


def test_unknown() -> None:
    """A record of a transaction whose end had no answer may have landed or not."""
    given, found = sent(), there()
    given.unknown.add((PLAIN, 0, RECORDS))
    assert seen(given, found) == (0, 0, 0)
    add(found, RECORDS + 2, number=RECORDS)
    assert seen(given, found) == (0, 0, 0)


@pytest.mark.parametrize("verdict", [Verdict(1, 1, 1, 0, 0, 0, 1), Verdict(1, 1, 1, 0, 0, 0, 0, ("a file is short",))])
def test_not_exact(verdict: Verdict) -> None:
    """Records that are left to read, and files that change, are seen as well."""
    assert not verdict.exact


def test_the_log_of_a_producer(tmp_path: Path) -> None:
    """Its lines become acknowledged places and unknown numbers; what was aborted is none of these."""
    entry = {"topic": PLAIN, "partition": 1, "error": None}
    entries = [
        {**entry, "outcome": "acknowledged", "offset": 4, "number": 3},
        {**entry, "outcome": "aborted", "offset": 5, "number": 4},
        {**entry, "outcome": "unknown", "offset": None, "number": 4},
    ]
    (tmp_path / "log").write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in entries))
    assert produced([tmp_path / "log"]) == Produced({(PLAIN, 1, 4): 3}, {(PLAIN, 1, 4)})
