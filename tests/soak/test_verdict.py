"""The verdict sees each thing that it looks for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.crash.reader import Lake
from tests.soak.producing import Place, Produced
from tests.soak.verdict import Landed, Verdict, judge, landed
from tests.soak.world import COMPACTED, PLAIN

RECORDS = 10


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


def test_files_are_as_they_were_first_seen(tmp_path: Path) -> None:
    """One that has grown, one that is gone and one that came back after it was moved are each told."""
    row = orjson.dumps({"topic": PLAIN, "partition": 0, "offset": 1, "number": 1, "aborted": False}) + b"\n"
    for name in ("lake/grown.json", "lake/back.json", "taken/back.json", "taken/fine.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(row)
    lengths = {"grown.json": len(row) - 1, "gone.json": len(row), "fine.json": len(row)}
    lakes = [Lake(f"file://{tmp_path / place}") for place in ("lake", "taken")]
    found = landed(lakes, lengths)
    assert found.files == found.places[PLAIN, 0, 1] == 4
    assert sorted(line.split()[0] for line in found.wrong) == ["back.json", "gone.json", "grown.json"]
