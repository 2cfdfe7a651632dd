"""Planted bugs that show only in a topic of their own, or after a person's reset; see test_planted.py."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from tests.crash.invariants import comes_to_rest, nothing_phantom
from tests.crash.plain.crew import Crew
from tests.crash.plain.evidence import Evidence, Look
from tests.crash.plain.running import Bench, Outcome, Tuple, run_tuple
from tests.crash.plain.topic import Place, produce

EXACTLY = ("exactly-once", "staged")


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


def of_its_own(bench: Bench) -> Bench:
    """The same with a new topic."""
    return replace(bench, produced=produce(bench.bootstrap, f"crash-{uuid.uuid4().hex}"))


def run(bench: Bench, crew: Crew, case: Tuple, planted: str) -> Outcome:
    outcome = run_tuple(bench, crew, case, f"tests.crash.planted:{planted}")
    assert outcome.landed, outcome.story
    return outcome


def nothing_skipped(e: Evidence) -> Iterator[str]:
    """I1, at any time: each committed record below the committed offsets is in a file."""
    for look in e.looks:
        offsets = look.register.offsets if look.register else {}
        seen = set(rows(look, list(look.published)))
        missing = sorted(at for at in e.produced.committed if at[1] < offsets.get(at[0], 0) and at not in seen)
        if missing:
            yield f"{len(missing)} records below {dict(offsets)} are in no file ({look.when}), first {missing[0]}"


def generations_end_exactly(e: Evidence) -> Iterator[str]:
    """Invariant 3: the files of an ended generation have each record below its last committed offset once, no other."""
    last = max(register.generation for register in e.history)
    for generation in range(last):
        ended = [r.offsets for r in e.history if r.generation == generation][-1]
        names = [name for name in e.end.published if f"+g{generation}e" in name]
        covered = Counter(at for at in e.produced.committed if at[1] < ended[at[0]])
        if (found := Counter(rows(e.end, names))) != covered:
            yield f"generation {generation} lacks {sorted(covered - found)} and has {sorted(found - covered)} besides"


def rows(look: Look, names: list[str]) -> Iterator[Place]:
    for name in names:
        for line in look.published[name].splitlines():
            row = json.loads(line)
            yield row["partition"], row["offset"]


@pytest.mark.full
def test_a_reset_policy_skips_what_is_lost(bench: Bench, crew: Crew) -> None:
    """Records deleted under a planned batch stop the run with 3; with auto.offset.reset=earliest they are missing."""
    case = Tuple(EXACTLY, "zookeeper", "replace.sent", "lose", 2)  # which costs nothing
    sound = run(of_its_own(bench), crew, case, "records_vanish")
    assert [exit.status for exit in sound.evidence.exits] == [3, 3], sound.story
    assert not list(nothing_skipped(sound.evidence))
    spoilt = run(of_its_own(bench), crew, case, "records_vanish+reset_to_earliest")
    assert list(nothing_skipped(spoilt.evidence)), spoilt.story


@contextmanager
def open_transaction(bench: Bench) -> Iterator[Bench]:
    """A topic of its own that ends with a transaction which goes on and on."""
    own = of_its_own(bench)
    config = {"bootstrap.servers": own.bootstrap, "transactional.id": uuid.uuid4().hex}
    producer = Producer({**config, "transaction.timeout.ms": 800_000})
    producer.init_transactions(60)
    producer.begin_transaction()
    for partition in own.produced.ends:
        producer.produce(own.produced.topic, b"open", b"open", partition)
    assert producer.flush(60) == 0
    try:
        yield own
    finally:
        producer.abort_transaction(60)


@pytest.mark.full
@pytest.mark.parametrize(
    ("bug", "caught_by"),
    [("until_is_high_watermark", comes_to_rest), ("until_is_high_watermark+read_uncommitted", nothing_phantom)],
)
def test_an_open_transaction_is_waited_for(
    bench: Bench, crew: Crew, bug: str, caught_by: Callable[[Evidence], Iterator[str]]
) -> None:
    """A run ends before it; planned over it, a run never ends, or has records that were never committed."""
    case = Tuple(EXACTLY, "file", "prepare.after", "kill", 2)
    with open_transaction(bench) as own:
        sound = run(own, crew, case, "little_patience")
        assert not sound.violated, f"{sound.violated}\n{sound.story}"
        spoilt = run(own, crew, case, f"little_patience+{bug}")
    assert caught_by.__name__ in spoilt.violated, f"{spoilt.violated}\n{spoilt.story}"


@pytest.mark.full
@pytest.mark.parametrize(
    ("bug", "caught_by"), [("discard_prepared", generations_end_exactly), ("plain_names", comes_to_rest)]
)
def test_a_reset_with_half_a_batch_visible(
    bench: Bench, crew: Crew, bug: str, caught_by: Callable[[Evidence], Iterator[str]]
) -> None:
    """The batch is published first.  Forgotten, it is outside of what its generation was; named alike, two clash."""
    case = Tuple(EXACTLY, "file", "publish.each", "kill", 9)
    sound = run(bench, crew, case, "reset_by_the_second")
    assert {register.generation for register in sound.evidence.history} == {0, 1}, sound.story
    assert not list(comes_to_rest(sound.evidence))
    assert not list(generations_end_exactly(sound.evidence))
    spoilt = run(bench, crew, case, f"reset_by_the_second+{bug}")
    assert {register.generation for register in spoilt.evidence.history} == {0, 1}, spoilt.story
    assert list(caught_by(spoilt.evidence)), spoilt.story
