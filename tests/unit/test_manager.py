"""OffsetManager on the memory store: fencing, latching, lost replies and lost registers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from offsets import failpoints
from offsets.codec import encode_manifest, encode_state
from offsets.errors import (
    FencedError,
    ForeignStateError,
    ProtocolError,
    RegisterError,
    StateDamagedError,
    UnavailableError,
)
from offsets.manager import OffsetManager, current_owner
from offsets.protocol import advance, created, phase
from offsets.stores.base import MAX_STATE_BYTES, MemoryStore, Versioned
from offsets.structs import Manifest, ManifestRef, OffsetRange, TopicState

TOPICS = {"t": TopicState("id", {0: 5})}
WIDE = {f"t{n:04}": TopicState("i" * 22, {0: 10**12 + n * 7, 1: 10**11 + n * 13, 2: n * n}) for n in range(2300)}
RANGES = (OffsetRange("t", 0, 5, 8),)
REF = ManifestRef("_staging/1/0/manifest.json", "ab", 0)
MANIFEST = Manifest("app", 0, 1, 0, RANGES, advance(TOPICS, RANGES), (), 3, 1)


class LossyStore(MemoryStore):
    """A memory store whose register can be lost, damaged or put back."""

    def set(self, found: Versioned | None) -> None:
        self._now = found

    def damage(self, state: bytes) -> None:
        assert self._now is not None
        self._now = Versioned(self._now.version + 1, state)


@pytest.fixture
def store() -> LossyStore:
    return LossyStore()


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm(None)


def manager(store: MemoryStore) -> OffsetManager:
    ticks = iter(range(1, 1000))
    return OffsetManager(store, current_owner("run"), clock=lambda: next(ticks), job="orders.cfg")


def launched(store: MemoryStore) -> OffsetManager:
    """A driver that has taken the register, which it made if there was none."""
    driver = manager(store)
    if driver.read() is None:
        driver.create("app", TOPICS)
    driver.take()
    return driver


def test_life_of_a_driver(store) -> None:
    """Create, take, prepare, commit; the store always has what `state` says."""
    driver = manager(store)
    assert driver.read() is None
    for step in (
        lambda: driver.create("app", TOPICS),
        driver.take,
        lambda: driver.prepare(TOPICS, RANGES, REF),
        driver.commit,
        lambda: driver.reset(TOPICS, "replay"),
        lambda: driver.commit_ranges(TOPICS, RANGES, {"": "A"}),
    ):
        assert step() == driver.state == manager(store).read()
    assert (driver.state.epoch, driver.state.seq, driver.state.generation) == (1, 2, 1)
    assert driver.state.schemas == {"": "A"}


def test_takeover_finishes_what_was_prepared(store) -> None:
    """The next launch finds the batch pending and commits it; the older driver is fenced and changes nothing."""
    older = launched(store)
    older.prepare(TOPICS, RANGES, REF)
    newer = launched(store)
    assert phase(newer.state) == "pending"
    before = store.load()
    with pytest.raises(FencedError):
        older.commit()
    assert store.load() == before
    assert newer.commit().topics["t"].offsets == {0: 8}


@pytest.mark.parametrize("step", ["prepare", "commit", "commit_ranges", "reset"])
def test_nothing_without_take(store, step) -> None:
    """A driver that has read but never taken the register cannot write batches or resets."""
    launched(store)
    driver = manager(store)
    driver.read()
    before = store.load()
    calls = {
        "prepare": lambda: driver.prepare(TOPICS, RANGES, REF),
        "commit": driver.commit,
        "commit_ranges": lambda: driver.commit_ranges(TOPICS, RANGES),
        "reset": lambda: driver.reset(TOPICS, "why"),
    }
    with pytest.raises(ProtocolError, match=f"{step.partition('_')[0]} by a driver that has not taken the register"):
        calls[step]()
    assert store.load() == before


def test_no_fresh_look_unfences(store) -> None:
    """A fenced driver that reads again does not get hold of the new owner's version."""
    older = launched(store)
    launched(store)
    for call in (older.read, older.read, lambda: older.prepare(TOPICS, RANGES, REF), older.take):
        with pytest.raises(FencedError):
            call()


def test_changed(store) -> None:
    """`changed` tells whether somebody else has written, and from then on this driver writes nothing."""
    older = launched(store)
    older.prepare(TOPICS, RANGES, REF)
    assert not older.changed()
    launched(store)
    assert older.changed()
    with pytest.raises(FencedError):
        older.commit()
    assert older.changed()


def lose_reply(name: str):
    def hook(reached: str) -> None:
        if reached == name:
            failpoints.arm(None)
            raise UnavailableError(f"no reply at {name}")

    return hook


@pytest.mark.parametrize("outcome", ["prepare.sent", "prepare.before"])
def test_latches_after_an_unknown_outcome(store, outcome) -> None:
    """After a write whose outcome is not known every later write raises the same error (rules F and S)."""
    driver = launched(store)
    before = store.load()
    failpoints.arm(lose_reply(outcome))
    with pytest.raises(UnavailableError):
        driver.prepare(TOPICS, RANGES, REF)
    if outcome == "prepare.before":  # nothing was sent: not a failed write
        assert store.load() == before
        return
    written = store.load()
    assert written != before
    for call in (driver.commit, driver.take, lambda: driver.reset(TOPICS, "why"), driver.read):
        with pytest.raises(UnavailableError, match=r"no reply at prepare\.sent"):
            call()
    assert store.load() == written


def test_latches_after_an_interrupt(store) -> None:
    """A signal in the middle of a write leaves its outcome open: nothing is written after it."""
    driver = launched(store)

    def interrupt(reached: str) -> None:
        if reached == "prepare.sent":
            raise KeyboardInterrupt

    failpoints.arm(interrupt)
    with pytest.raises(KeyboardInterrupt):
        driver.prepare(TOPICS, RANGES, REF)
    with pytest.raises(UnavailableError, match="the outcome of prepare"):
        driver.commit()


def test_a_refused_step_does_not_latch(store) -> None:
    """An illegal step sends nothing, so the driver may go on."""
    driver = launched(store)
    with pytest.raises(ProtocolError):
        driver.commit()
    driver.prepare(TOPICS, RANGES, REF)


def test_failpoints_in_order(store) -> None:
    """A read passes before and after, every write before, sent and after, under the step's name."""
    reached: list[str] = []
    failpoints.arm(reached.append)
    driver = launched(store)
    driver.prepare(TOPICS, RANGES, REF)
    driver.commit()
    steps = ("create", "take", "prepare", "commit")
    writes = [f"{step}.{when}" for step in steps for when in ("before", "sent", "after")]
    assert reached == ["read.before", "read.after", *writes]


def test_a_register_that_vanished(store) -> None:
    """A register that was there and is gone is never a first launch."""
    driver = launched(store)
    store.set(None)
    for call in (driver.read, driver.read, driver.changed, lambda: driver.create("app", TOPICS), driver.take):
        with pytest.raises(RegisterError, match="was there and is gone") as caught:
            call()
    assert "run_stream.py orders.cfg --recover register" in caught.value.remedy


def test_create_only_after_a_look(store) -> None:
    """A driver that has not looked, or has found one, creates nothing."""
    with pytest.raises(ProtocolError, match="looked for"):
        manager(store).create("app", TOPICS)
    launched(store)
    driver = manager(store)
    driver.read()
    with pytest.raises(ProtocolError, match="never was there"):
        driver.create("app", TOPICS)


def test_two_first_launches(store) -> None:
    """Of two drivers that both found nothing one creates, the other is fenced."""
    first, second = manager(store), manager(store)
    assert first.read() is second.read() is None
    first.create("app", TOPICS)
    with pytest.raises(FencedError):
        second.create("other", TOPICS)
    assert manager(store).read() == first.state


def test_damaged_register_stops_and_is_rebuilt(store) -> None:
    """A damaged register is not read, not taken, and can be rebuilt from the batch log."""
    launched(store)
    store.damage(b'{"format":1')
    driver = manager(store)
    with pytest.raises(StateDamagedError, match="the register in memory: is damaged"):
        driver.read()
    with pytest.raises(ProtocolError):
        driver.take()
    driver.rebuild(MANIFEST, REF)
    assert phase(driver.take()) == "pending"
    assert driver.commit().topics["t"].offsets == {0: 8}


def test_lost_register_is_rebuilt_and_fences_what_came_before(store) -> None:
    """A rebuilt register goes on after the logged batch, under an epoch that no older driver had."""
    older = launched(store)
    store.set(None)
    driver = manager(store)
    assert driver.read() is None
    driver.rebuild(MANIFEST, None)
    assert driver.take().epoch > older.state.epoch + 1000
    assert driver.state.topics["t"].offsets == {0: 8}
    with pytest.raises(FencedError):
        older.prepare(TOPICS, RANGES, REF)


@pytest.mark.parametrize(
    "state", [b"hello", encode_manifest(MANIFEST), b'{"format":9,"kind":"state","sha256":"x"}\n{}']
)
def test_rebuild_never_overwrites_what_may_be_whole(store, state) -> None:
    """Another program's bytes, another kind and a newer format are left alone."""
    launched(store)
    store.damage(state)
    before = store.load()
    with pytest.raises(ForeignStateError):
        manager(store).rebuild(MANIFEST, None)
    assert store.load() == before


def test_rebuild_never_overwrites_a_register_in_order(store) -> None:
    """There is nothing to rebuild where a register can be read."""
    launched(store)
    before = store.load()
    with pytest.raises(RegisterError, match="in order"):
        manager(store).rebuild(MANIFEST, None)
    assert store.load() == before


def test_too_many_partitions(store) -> None:
    """A register over the limit is refused before it is sent, with what to do."""
    driver = manager(store)
    driver.read()
    topics = {"t": TopicState("id", {p: 10**18 for p in range(30_000)})}
    with pytest.raises(RegisterError, match=f"over the limit of {MAX_STATE_BYTES}") as caught:
        driver.create("app", topics)
    assert "several jobs" in caught.value.remedy
    assert store.load() is None


def test_state_before_any_look(store) -> None:
    """There is no register to speak of before one was read."""
    with pytest.raises(ProtocolError, match="read or created"):
        _ = manager(store).state


def test_register_of_another_writer_is_read(store) -> None:
    """What another process encoded is what `read` returns."""
    state = created("app", TOPICS, current_owner("x"), "n", 1)
    store.replace(None, encode_state(state))
    assert manager(store).read() == state


@pytest.mark.parametrize(("partitions", "kept"), [(10_000, True), (20_000, False)])
def test_a_large_register_is_reset(store, partitions, kept) -> None:
    """What it was is kept for an undo if it fits in beside; else the reset goes without, and is done."""
    driver = manager(store)
    driver.read()
    epochs = dict.fromkeys(range(partitions), 1000)
    driver.create("app", {"t": TopicState("id", {p: 10**10 + p for p in range(partitions)}, epochs)})
    driver.take()
    before = driver.state.topics
    state = driver.reset({"t": TopicState("id", dict.fromkeys(range(partitions), 10**10), epochs)}, "why")
    assert (state.generation, state.before) == (1, before if kept else None)


def test_a_reset_leaves_room_for_whoever_comes_next(store: LossyStore) -> None:
    """What it was is given up before the register is so full that nobody could take it."""
    driver = manager(store)
    driver.read()
    driver.create("app", WIDE)
    driver.take()
    driver.reset(WIDE, "why")
    assert driver.state.before == WIDE
    driver.reset(WIDE, "w" * (MAX_STATE_BYTES - len(encode_state(driver.state))))
    assert driver.state.before is None
    longer = OffsetManager(store, current_owner("a longer name"))
    longer.read()
    longer.take()
