"""The protocol's tables and transitions, driven without a store."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from offsets import protocol
from offsets.errors import ProtocolError
from offsets.profiles import COMMIT, GC, LAUNCH, PLAN, PROFILES, STAGED, TRANSACTIONAL
from offsets.protocol import ALLOWED, EPOCH_LEAP, phase
from offsets.structs import (
    EXACTLY_ONCE,
    GIVEN_UP,
    GUARANTEES,
    LostRange,
    Manifest,
    ManifestRef,
    OffsetRange,
    Owner,
    State,
    TopicState,
)
from tests.model import model

PAGE = Path(__file__).resolve().parents[1] / "model" / "protocol.md"
ME, OTHER = Owner("h", 1, "s", "r1"), Owner("h", 2, "s", "r2")
REF = ManifestRef("_staging/1/0/manifest.json", "ab", 0)
BEFORE = {"t": TopicState("id", {0: 5, 1: 9})}
AFTER = {"t": TopicState("id", {0: 8, 1: 9})}
RANGES = (OffsetRange("t", 0, 5, 8),)

CREATED = protocol.created("a", BEFORE, ME, "n0", 1)
IDLE = protocol.taken(CREATED, ME, "n1", 2)
PENDING = protocol.prepared(IDLE, BEFORE, RANGES, REF, "n2", 3)
REGISTERS = {"created": CREATED, "idle": IDLE, "pending": PENDING}
TRANSITIONS = {
    "take": lambda s, nonce: protocol.taken(s, OTHER, nonce, 9),
    "prepare": lambda s, nonce: protocol.prepared(s, BEFORE, RANGES, REF, nonce, 9),
    "commit": lambda s, nonce: protocol.committed(s, nonce, 9),
    "advance": lambda s, nonce: protocol.advanced(s, BEFORE, RANGES, nonce, 9),
    "reset": lambda s, nonce: protocol.reset(s, BEFORE, "why", nonce, 9),
    "discard": lambda s, nonce: protocol.discarded(s, BEFORE, "why", nonce, 9),
    "skip": lambda s, nonce: protocol.skipped(s, AFTER, (LostRange("EXPIRED", "t", 0, 5, 8),), nonce, 9),
}


def table(section: int, begin: str) -> list[list[str]]:
    """The cells of that section's table rows which begin so."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}.")[1].split(f"## {section + 1}.")[0]
    return [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith(begin)]


def test_steps_are_those_of_the_page() -> None:
    """Names, order, writes and failpoints in code are those of the table in the protocol page."""
    steps = {step.name: step for step in (*LAUNCH, PLAN, *(s for p in PROFILES.values() for s in p.steps))}
    rows = {name.strip("`"): (what, re.findall(r"`(.+?)`", more)) for name, what, _, more in table(2, "| `")}
    assert rows.keys() == steps.keys()
    assert {name: tuple(more) for name, (_, more) in rows.items()} == {s.name: s.also for s in steps.values()}
    assert {name for name, (what, _) in rows.items() if "CAS" in what} == {s.name for s in steps.values() if s.writes}
    exactly = (*LAUNCH, PLAN, *PROFILES[EXACTLY_ONCE, "staged"].steps)
    assert [name for name in rows if steps[name] in exactly] == [step.name for step in exactly]


def named(guarantee: str, kind: str) -> str:
    """A profile's name on the page and in the model."""
    return guarantee if kind == STAGED else f"{kind} {guarantee}"


def test_profiles_are_those_of_the_page() -> None:
    """Each profile's steps in code, in their order, are those of the page's table."""
    told = {name: tuple(re.findall(r"`(.+?)`", order)) for name, order, *_ in table(5, "| ")[1:]}
    names = {named(*key): p.steps for key, p in PROFILES.items()}
    assert told == {name: tuple(step.name for step in steps) for name, steps in names.items()}
    assert {g for g, _ in PROFILES} == set(GUARANTEES)
    assert all(profile[:2] == key for key, profile in PROFILES.items())


def test_profiles_are_those_of_the_model() -> None:
    """What the model has explored is what the code does: the same acts in the same order, in every profile."""
    short = {"prepare": "prep", "publish": "pub", "commit": "com", "stage": "stage", "write": "write"}
    within = {"write": "stage", "commit": "txn"}  # of a transactional sink: staged rows, and offsets with them
    ours = {
        named(*key): "-".join(names[s.name] for s in p.steps if s.name in names)
        for key, p in PROFILES.items()
        for names in [within if p.kind == TRANSACTIONAL else short]
    }
    assert ours == model.PROFILES


def test_every_step_that_writes_is_a_transition() -> None:
    """Profiles and the table of what is allowed speak of the same writes."""
    writes = {step.name for step in (*LAUNCH, *(s for p in PROFILES.values() for s in p.steps)) if step.writes}
    assert writes | {"create", "rebuild", "advance", "reset", "discard", "skip"} == frozenset().union(*ALLOWED.values())


def test_failpoints_of_a_step() -> None:
    """Before and after, sent for a write of the register, and those that the step lists."""
    assert COMMIT.failpoints == ("commit.before", "commit.sent", "commit.after")
    assert GC.failpoints == ("gc.before", "gc.after", "gc.each")


def test_what_a_profile_says_of_itself() -> None:
    """Exactly-once alone leaves a batch to redo, at-most-once alone can lose one."""
    assert {p.guarantee for p in PROFILES.values() if p.prepares} == {EXACTLY_ONCE}
    assert {p.guarantee for p in PROFILES.values() if p.commits_first} == {"at-most-once"}


@pytest.mark.parametrize("found", REGISTERS)
@pytest.mark.parametrize("step", TRANSITIONS)
def test_transitions_follow_the_table(found: str, step: str) -> None:
    """What the table allows works and is written down as that step; all else raises and changes nothing."""
    state = REGISTERS[found]
    assert phase(state) == found
    if step in ALLOWED[found]:
        assert TRANSITIONS[step](state, "new").step == {"advance": "commit", "discard": "reset"}.get(step, step)
    else:
        with pytest.raises(ProtocolError, match=f"{step} is not allowed while the register is {found}"):
            TRANSITIONS[step](state, "new")


@pytest.mark.parametrize(("found", "step"), [(f, s) for f in REGISTERS for s in TRANSITIONS if s in ALLOWED[f]])
def test_each_transition_has_its_own_nonce(found: str, step: str) -> None:
    """A nonce that stands in the register cannot tell whose write it was."""
    state = REGISTERS[found]
    with pytest.raises(ProtocolError, match="nonce of its own"):
        TRANSITIONS[step](state, state.nonce)


def test_life_of_a_register() -> None:
    """Create, take, prepare, take over, commit: each changes what it should and nothing else."""
    assert (CREATED.epoch, CREATED.seq, CREATED.generation, CREATED.step) == (0, 0, 0, "create")
    assert replace(CREATED, epoch=1, nonce="n1", step="take", time_ms=2) == IDLE
    assert PENDING.pending is not None
    assert PENDING.pending.ranges == RANGES
    assert replace(PENDING, pending=None, nonce="n1", step="take", time_ms=2) == IDLE
    taken_over = protocol.taken(PENDING, OTHER, "n3", 4)
    assert (taken_over.epoch, taken_over.owner, taken_over.pending) == (2, OTHER, PENDING.pending)
    done = protocol.committed(taken_over, "n4", 5)
    assert (done.topics, done.pending, done.seq, done.committed_ms) == (AFTER, None, 1, 5)
    assert (done.epoch, done.generation, done.app) == (2, 0, "a")


@pytest.mark.parametrize(
    ("topics", "ranges", "why"),
    [
        ({"t": TopicState("id", {0: 4, 1: 9})}, (), "plan has t-0 at 4, the register has 5"),
        ({"t": TopicState("id", {0: 6, 1: 9})}, (), "plan has t-0 at 6, the register has 5"),
        ({"t": TopicState("id", {0: 5})}, (), "plan has t-1 at None"),
        ({"t": TopicState("other", {0: 5, 1: 9})}, (), "topic t with id id is not in it"),
        ({}, (), "topic t with id id is not in it"),
        (BEFORE, (OffsetRange("t", 0, 4, 8),), "does not begin at the committed offset 5"),
        (BEFORE, (OffsetRange("t", 0, 8, 9),), "does not begin at the committed offset 5"),
        (BEFORE, (OffsetRange("t", 2, 0, 9),), "does not begin at the committed offset None"),
        (BEFORE, (OffsetRange("u", 0, 0, 9),), "does not begin at the committed offset None"),
        (BEFORE, (OffsetRange("t", 0, 5, 5),), "is empty"),
        (BEFORE, (OffsetRange("t", 0, 5, 3),), "is empty"),
        (BEFORE, (OffsetRange("t", 0, 5, 8), OffsetRange("t", 0, 5, 8)), "name a partition once"),
        (BEFORE, (OffsetRange("t", 1, 9, 10), OffsetRange("t", 0, 5, 8)), "must be sorted"),
    ],
)
def test_what_does_not_join_up_is_refused(topics, ranges, why) -> None:
    """Only ranges that begin where the register stands are prepared or committed; the cursor never changes by it."""
    with pytest.raises(ProtocolError, match=why):
        protocol.prepared(IDLE, topics, ranges, REF, "new", 9)
    with pytest.raises(ProtocolError, match=why):
        protocol.advanced(IDLE, topics, ranges, "new", 9)


def test_a_commit_without_prepare_is_both_in_one() -> None:
    """Offsets, number, new partitions and schemas are what PREPARE and COMMIT would have made of them."""
    topics = {"t": TopicState("id", {0: 5, 1: 9, 2: 3})}
    pending = protocol.prepared(IDLE, topics, RANGES, None, "s1", 8, schemas={"": "A"})
    assert protocol.advanced(IDLE, topics, RANGES, "s2", 9, {"": "A"}) == protocol.committed(pending, "s2", 9)
    done = protocol.committed(pending, "s2", 9)
    with pytest.raises(ProtocolError, match="has its schema"):
        protocol.advanced(done, done.topics, (), "s3", 10, {"": "B"})


def test_new_partitions_enter_by_prepare() -> None:
    """A new partition and a new topic come in with the batch, wherever the plan pinned them."""
    topics = {"t": TopicState("id", {0: 5, 1: 9, 2: 3}), "u": TopicState("iu", {0: 4})}
    state = protocol.prepared(IDLE, topics, (OffsetRange("t", 2, 3, 4),), None, "new", 9)
    assert state.topics == topics
    assert protocol.committed(state, "newer", 9).topics["t"].offsets == {0: 5, 1: 9, 2: 4}


def test_schemas_are_pinned_by_prepare_for_ever() -> None:
    """Commit, take-over, reset and a rebuild keep them; a table never gets a second one."""
    pending = protocol.prepared(IDLE, BEFORE, RANGES, REF, "s1", 3, schemas={"": "A", "a/b": "B"})
    done = protocol.committed(protocol.taken(pending, OTHER, "s2", 4), "s3", 5)
    begun = protocol.reset(done, BEFORE, "why", "s4", 6)
    assert pending.schemas == done.schemas == begun.schemas == {"": "A", "a/b": "B"}
    more = protocol.prepared(begun, BEFORE, RANGES, REF, "s5", 7, schemas={"": "A", "c": "C"})
    assert more.schemas == {"": "A", "a/b": "B", "c": "C"}
    with pytest.raises(ProtocolError, match="table of the root has its schema"):
        protocol.prepared(begun, BEFORE, RANGES, REF, "s5", 7, schemas={"": "B"})
    for ref in (REF, None):
        manifest = replace(MANIFEST, schemas={"": "A"})
        assert protocol.rebuilt(manifest, ref, ME, "n", 9).schemas == manifest.schemas


def test_reset_begins_a_generation() -> None:
    """A reset may go anywhere, keeps epoch and seq, and says why."""
    state = protocol.reset(IDLE, {"t": TopicState("new id", {0: 0})}, "ann: replay", "new", 9)
    assert (state.generation, state.epoch, state.seq, state.reason) == (1, 1, 0, "ann: replay")
    assert state.topics == {"t": TopicState("new id", {0: 0})}
    with pytest.raises(ProtocolError, match="who, when and why"):
        protocol.reset(IDLE, BEFORE, "", "new", 9)


def test_a_discard_begins_a_generation_and_uses_the_batchs_number_up() -> None:
    """What was pending is named lost; an undo goes back to before that batch."""
    state = protocol.discarded(PENDING, AFTER, "ann: staging is lost", "new", 9)
    assert (state.generation, state.epoch, state.seq, state.pending) == (1, 1, PENDING.seq + 1, None)
    assert (state.topics, state.before, state.reason) == (AFTER, BEFORE, "ann: staging is lost")
    assert state.losses == (LostRange(GIVEN_UP, "t", 0, 5, 8),)
    assert state.step == "reset"
    with pytest.raises(ProtocolError, match="who, when and why"):
        protocol.discarded(PENDING, AFTER, "", "new", 9)
    assert protocol.without_pending(IDLE) is IDLE


def test_a_reset_keeps_what_an_undo_goes_back_to() -> None:
    """The very topics, with ids and epochs, through take-overs and until the first batch; the undo keeps its own."""
    old = replace(IDLE, topics={"t": TopicState("id", {0: 5, 1: 9}, {1: 7})})
    begun = protocol.taken(protocol.reset(old, BEFORE, "why", "r1", 9), OTHER, "r2", 9)
    assert begun.before == old.topics
    undone = protocol.reset(begun, begun.before, "undo", "r3", 9)
    assert (undone.topics, undone.before, undone.generation) == (old.topics, BEFORE, 2)
    for step in ("prepare", "advance", "skip"):
        assert TRANSITIONS[step](begun, "r4").before is None


MANIFEST = Manifest("a", 2, 7, 4, RANGES, AFTER, (), 3, 77)


def test_rebuilt_with_staging_is_pending_again() -> None:
    """The logged batch is to be finished again: committed offsets are its from offsets, seq is its own."""
    state = protocol.rebuilt(MANIFEST, REF, ME, "n", 9)
    assert (state.topics, state.seq, state.generation, state.app) == (BEFORE, 4, 2, "a")
    assert phase(state) == "pending"
    assert protocol.committed(state, "m", 9).topics == AFTER


def test_rebuilt_without_staging_is_committed() -> None:
    """The logged batch is over: the next one begins where it ended."""
    state = protocol.rebuilt(MANIFEST, None, ME, "n", 9)
    assert (state.topics, state.seq, state.pending, state.committed_ms) == (AFTER, 5, None, 77)


def test_rebuilt_epoch_is_above_all_before() -> None:
    """No epoch that launches since the logged batch may have reached comes again."""
    assert protocol.rebuilt(MANIFEST, None, ME, "n", 9).epoch == 7 + EPOCH_LEAP


def test_advance_is_what_commit_does() -> None:
    """A manifest's topics are the register's after its commit."""
    assert protocol.advance(PENDING.topics, RANGES) == protocol.committed(PENDING, "n", 9).topics


def test_states_are_frozen() -> None:
    """A refused transition cannot have changed a state, because nothing can."""
    with pytest.raises(AttributeError):
        IDLE.epoch = 3  # type: ignore[misc]
    assert isinstance(IDLE, State)
