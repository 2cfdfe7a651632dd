"""Several drivers, zombies among them, on one register: the invariants of the protocol after every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from offsets.codec import decode_state
from offsets.errors import FencedError, ProtocolError, StreamError, UnavailableError
from offsets.losses import find_losses
from offsets.manager import OffsetManager
from offsets.planning import give_up, plan
from offsets.rate import Limits
from offsets.snapshot import TopicSnapshot
from offsets.stores.base import MemoryStore, Versioned
from offsets.structs import OffsetRange, Owner, State, TopicState

drivers = st.integers(0, 2)
Ranges = tuple[OffsetRange, ...]


class LossyStore(MemoryStore):
    """Keeps every register there ever was; loses a reply, or a request, when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[State] = []
        self.lose = ""

    def replace(self, expected: Versioned | None, state: bytes) -> Versioned:
        lose, self.lose = self.lose, ""
        if lose == "request":
            raise UnavailableError("lost")
        written = super().replace(expected, state)
        self.history.append(decode_state(state))
        if lose == "reply":
            raise UnavailableError("lost")
        return written


class Register(RuleBasedStateMachine):
    """Three drivers do in any order what their own view of the register suggests."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.numbers, self.checked = LossyStore(), count(), 1
        self.ends = {0: 2, 1: 0}
        self.drivers, self.took = [self.new_driver(i) for i in range(3)], set[int]()

    def new_driver(self, i: int) -> OffsetManager:
        return OffsetManager(
            self.store, Owner("h", i, "s", f"r{next(self.numbers)}"), lambda: 1, lambda: f"n{next(self.numbers)}"
        )

    @initialize()
    def first_launch(self) -> None:
        self.drivers[0].read()
        self.drivers[0].create("app", {"t": TopicState("id", {0: 0})})

    def attempt(self, i: int, call: Callable[[], object]) -> None:
        """Runs one step of a driver; if it fails, nothing has changed unless only the reply was lost."""
        before, written = self.store.load(), len(self.store.history)
        losing_reply = self.store.lose == "reply"
        stale = self.owner_is_another(i)
        try:
            call()
        except (FencedError, ProtocolError, ValueError):
            assert self.store.load() == before
        except StreamError:
            assert losing_reply or self.store.load() == before
        else:
            if len(self.store.history) > written:
                assert not stale, "a fenced driver has written"
                assert self.store.history[-1].owner == self.drivers[i]._owner, "a driver wrote what it never took"
        self.store.lose = ""

    def owner_is_another(self, i: int) -> bool:
        """Driver i has taken the register once, and somebody else has since."""
        mine, now = self.drivers[i]._owner, self.store.history[-1].owner
        return mine != now and any(state.owner == mine and state.epoch for state in self.store.history)

    @rule(what=st.sampled_from(["reply", "request"]))
    def lose_the_next(self, what: str) -> None:
        self.store.lose = what

    @rule(p=st.sampled_from([0, 1]), n=st.integers(1, 4))
    def produce(self, p: int, n: int) -> None:
        self.ends[p] += n

    @rule(i=drivers, steps=st.integers(1, 6), limit=st.integers(1, 5), pending=st.booleans())
    def go_on(self, i: int, steps: int, limit: int, pending: bool) -> None:
        """What a healthy driver does next by its own view of the register, some steps of it."""
        for _ in range(steps):
            self.attempt(i, lambda: self.next_step(i, limit, pending))

    def next_step(self, i: int, limit: int, pending: bool) -> None:
        driver = self.drivers[i]
        if i not in self.took:
            driver.read()
            driver.take()
            self.took.add(i)
        elif driver.state.pending:
            driver.commit()
        else:
            ends = {"t": TopicSnapshot("id", {p: (0, end) for p, end in self.ends.items()})}
            planned = plan(driver.state.topics, ends, Limits(limit))
            self.decide(driver, planned.topics, planned.ranges, pending)

    def decide(self, driver: OffsetManager, topics: Mapping[str, TopicState], ranges: Ranges, pending: bool) -> None:
        """By PREPARE, or by a COMMIT without one."""
        if pending:
            driver.prepare(topics, ranges, None)
        else:
            driver.commit_ranges(topics, ranges)

    @rule(i=drivers)
    def relaunch(self, i: int) -> None:
        self.drivers[i] = self.new_driver(i)
        self.took.discard(i)

    @rule(i=drivers)
    def take_again(self, i: int) -> None:
        self.attempt(i, self.drivers[i].take)

    @rule(i=drivers)
    def look_again(self, i: int) -> None:
        self.attempt(i, self.drivers[i].read)

    @rule(
        i=drivers,
        p=st.sampled_from([0, 1]),
        start=st.integers(-1, 9),
        n=st.integers(-1, 3),
        pin=st.booleans(),
        pending=st.booleans(),
    )
    def decide_anything(self, i: int, p: int, start: int, n: int, pin: bool, pending: bool) -> None:
        """A range from anywhere, with a cursor that may have been moved to fit it: what a defect might send."""

        def step() -> None:
            known = self.drivers[i].state.topics["t"].offsets
            cursor = {**known, p: start} if pin else known
            ranges = (OffsetRange("t", p, start, start + n),)
            self.decide(self.drivers[i], {"t": TopicState("id", cursor)}, ranges, pending)

        self.attempt(i, step)

    @rule(i=drivers)
    def commit(self, i: int) -> None:
        self.attempt(i, self.drivers[i].commit)

    @rule(i=drivers, place=st.integers(0, 2))
    def reset(self, i: int, place: int) -> None:
        self.attempt(i, lambda: self.drivers[i].reset({"t": TopicState("id", {0: place})}, "test"))

    @rule(i=drivers, place=st.integers(0, 2))
    def discard(self, i: int, place: int) -> None:
        self.attempt(i, lambda: self.drivers[i].discard({"t": TopicState("id", {0: place})}, "test"))

    @rule(i=drivers, lost=st.integers(1, 3))
    def skip(self, i: int, lost: int) -> None:
        """Retention has deleted records that driver i, by its own view of the register, has yet to read."""

        def step() -> None:
            topics = self.drivers[i].state.topics
            now = {"t": TopicSnapshot("id", {p: (o + lost, o + lost) for p, o in topics["t"].offsets.items()})}
            given_up = give_up(topics, now, find_losses(topics, now))
            self.drivers[i].skip(given_up.topics, given_up.losses)

        self.attempt(i, step)

    @precondition(lambda self: len(self.store.history) > self.checked)
    @invariant()
    def each_write_follows_from_the_one_before(self) -> None:
        for old, new in zip(self.store.history[self.checked - 1 :], self.store.history[self.checked :], strict=False):
            check_step(old, new)
        self.checked = len(self.store.history)

    @invariant()
    def the_version_counts_every_write(self) -> None:
        found = self.store.load()
        assert (found.version + 1 if found else 0) == len(self.store.history)


def check_step(old: State, new: State) -> None:
    """The invariants of protocol.md section 7, between a register and the next."""
    assert new.app == old.app
    assert new.nonce != old.nonce
    assert new.epoch == old.epoch + (new.step == "take")
    assert (new.step == "take") or new.owner == old.owner, "only a take changes the owner"
    assert new.generation == old.generation + (new.step in ("reset", "skip"))
    discarded = new.step == "reset" and old.pending is not None
    assert new.seq == old.seq + (new.step == "commit" or discarded), "a batch's number never comes again"
    if new.step != "reset":
        before, after = old.topics["t"].offsets, new.topics["t"].offsets
        assert all(after[p] >= offset for p, offset in before.items())
    if new.step == "skip":
        assert old.pending is None
        moved = {p: (offset, new.topics["t"].offsets[p]) for p, offset in old.topics["t"].offsets.items()}
        assert {loss.partition: (loss.from_offset, loss.until_offset) for loss in new.losses} == moved
    elif discarded and old.pending:
        assert [loss[1:] for loss in new.losses] == sorted(map(tuple, old.pending.ranges))
    else:
        assert new.losses == (old.losses if new.step == "take" else ()), "until the first batch"
    kept = {"reset": old.topics, "take": old.before}
    assert new.before == kept.get(new.step), "from a reset until the first batch"
    if new.step == "prepare":
        assert old.pending is None
        assert new.pending is not None
        assert all(new.topics["t"].offsets[r.partition] == r.from_offset for r in new.pending.ranges)
    if new.step == "commit" and old.pending is not None:
        ends = {r.partition: r.until_offset for r in old.pending.ranges}
        assert new.topics["t"].offsets == {**old.topics["t"].offsets, **ends}
    assert (
        (new.pending is None)
        if new.step in ("commit", "reset", "skip")
        else (new.step == "prepare" or new.pending == old.pending)
    )


Register.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestRegister = Register.TestCase
TestRegister.__doc__ = "Whatever drivers do in whatever order, each register follows from the one before it."
