"""What every OffsetStore promises: the same suite for memory, a local disk, SQLite and real servers of each kind."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offsets.errors import AlreadyRunningError, FencedError
from offsets.stores.base import MAX_STATE_BYTES, OffsetStore, Versioned
from tests.contract.store_places import DEADLINE, ME, OTHER, SLACK, Child, Place, child, created, wait_for

RACERS, ROUNDS = 24, 5


def make_place(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if kind == "zookeeper":
        return Place(f"zookeeper://{request.getfixturevalue('zookeeper').hosts}/test/{uuid.uuid4().hex}")
    if kind == "hdfs":
        return Place(f"webhdfs://{request.getfixturevalue('hdfs').webhdfs}/tests/{uuid.uuid4().hex}/orders")
    if kind == "postgresql":
        return Place(f"{request.getfixturevalue('postgres').url}?register={uuid.uuid4().hex}")
    if kind == "sqlite":
        return Place(f"sqlite:///{tmp_path}/not there yet/orders.db".replace(" ", "%20"))
    return Place("memory:" if kind == "memory" else f"file://{tmp_path}/not there yet/orders".replace(" ", "%20"))


# Locked as a file store is, and written as PostgreSQL.
SQLITE = pytest.param("sqlite", marks=pytest.mark.full)


@pytest.fixture(params=["memory", "file", "zookeeper", "hdfs", "postgresql", SQLITE])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A register that was never created."""
    place = make_place(request.param, request, tmp_path)
    yield place
    place.close()


@pytest.fixture(params=["file", "zookeeper", "hdfs", "postgresql", SQLITE])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place that outlives a process."""
    place = make_place(request.param, request, tmp_path)
    yield place
    place.close()


def test_never_created_is_none(place: Place) -> None:
    """A register that was never created reads as None, and reading creates nothing."""
    assert place.open().load() is None
    assert place.open().load() is None
    assert place.open().holder() is None


def test_every_byte_comes_back(place: Place) -> None:
    """What was written is what any driver reads, byte for byte, at the version that the writer was told."""
    state = bytes(range(256))
    written = place.open().replace(None, state)
    assert written.state == state
    assert place.open().load() == written


def test_versions_count_up_by_one(place: Place) -> None:
    """Each write raises the version by one; the incarnation stays."""
    store = place.open()
    first = store.replace(None, b"a")
    second = store.replace(first, b"b")
    assert (second.version, second.incarnation) == (first.version + 1, first.incarnation)
    assert place.open().load() == second


def test_create_over_a_register_is_fenced(place: Place) -> None:
    """Creating is refused once somebody else has created; theirs stays."""
    mine, other = place.open(), place.open()
    assert mine.load() is None
    theirs = other.replace(None, b"theirs")
    with pytest.raises(FencedError):
        mine.replace(None, b"mine")
    assert mine.load() == theirs


@pytest.mark.parametrize("state", [b"mine", b"theirs", b"state 2"])
def test_stale_write_is_fenced(place: Place, state: bytes) -> None:
    """A write that expects an older version is refused, also with bytes that stand or stood there."""
    mine, other = place.open(), place.open()
    old = created(mine)
    theirs = other.replace(old, b"theirs")
    with pytest.raises(FencedError):
        mine.replace(old, state)
    assert mine.load() == theirs


def test_the_same_bytes_twice_are_two_writes(place: Place) -> None:
    """The second of two writes with the same bytes and the same expectation is fenced, not taken for the first."""
    store = place.open()
    now = created(store)
    done = store.replace(now, b"mine")
    with pytest.raises(FencedError):
        store.replace(now, b"mine")
    assert store.load() == done


def test_states_are_newest_first(place: Place) -> None:
    """The kept states come newest first, each with the version it had; a znode keeps only the newest."""
    store = place.open()
    assert store.states(10) == []
    first = store.replace(None, b"a")
    second = store.replace(first, b"b")
    third = store.replace(second, b"c")
    kept = [third, second, first] if place.keeps_older else [third]
    for limit in (0, 1, 2, 3, 10):
        assert place.open().states(limit) == kept[:limit]


def test_size_limit(place: Place) -> None:
    """The largest state goes through; one byte more is refused before anything is sent."""
    store = place.open()
    now = store.replace(None, b"x" * MAX_STATE_BYTES)
    with pytest.raises(ValueError, match=str(MAX_STATE_BYTES)):
        store.replace(now, b"x" * (MAX_STATE_BYTES + 1))
    assert place.open().load() == now


def test_of_24_racers_one_wins(place: Place) -> None:
    """Of 24 drivers that write at once exactly one wins each round, creation included; all others are fenced."""
    stores = [place.open() for _ in range(RACERS)]
    for store in stores:
        store.load()
    with ThreadPoolExecutor(RACERS) as pool:
        for _ in range(ROUNDS):
            seen, start = stores[0].load(), threading.Barrier(RACERS)
            results = list(pool.map(lambda store, seen=seen, start=start: race(store, seen, start), stores))
            winners = [result for result in results if result]
            assert len(winners) == 1
            assert stores[-1].load() == winners[0]


def race(store: OffsetStore, seen: Versioned | None, start: threading.Barrier) -> Versioned | None:
    start.wait()
    try:
        return store.replace(seen, uuid.uuid4().bytes)
    except FencedError:
        return None


def test_lock_is_held_by_one_and_names_it(place: Place) -> None:
    """A second run waits as long as it said, then is told host, pid and start of the first; then the lock is free."""
    first, second = place.open(), place.open()
    with first.lock(ME, 0):
        assert second.holder() == ME
        for wait in (0, 0.5):
            began = time.monotonic()
            with pytest.raises(AlreadyRunningError, match=f"pid {ME.pid} on {ME.host}, started {ME.started}") as e:
                second.lock(OTHER, wait).__enter__()
            assert wait <= time.monotonic() - began < wait + SLACK
            assert e.value.holder == ME
    assert first.holder() is None
    with second.lock(OTHER, 0):
        assert first.holder() == OTHER


def test_lock_is_free_after_an_error(place: Place) -> None:
    """A block that raises gives the lock back."""
    with pytest.raises(KeyError), place.open().lock(ME, 0):
        raise KeyError
    with place.open().lock(OTHER, 0):
        pass


def test_a_waiting_run_gets_the_lock(place: Place) -> None:
    """A run that waits holds the lock as soon as the first gives it back."""
    first, second = place.open(), place.open()
    got = threading.Event()

    def wait() -> None:
        with second.lock(OTHER, 60):
            got.set()

    waiting = threading.Thread(target=wait)
    with first.lock(ME, 0):
        waiting.start()
        assert not got.wait(0.5)
    assert got.wait(30)
    waiting.join()


def test_writing_needs_no_lock(place: Place) -> None:
    """Safety never rests on the lock: a driver without it writes, and the holder is fenced."""
    holder, other = place.open(), place.open()
    now = created(holder)
    with holder.lock(ME, 0):
        other.replace(now, b"theirs")
        with pytest.raises(FencedError):
            holder.replace(now, b"mine")


def test_close_frees_the_lock_at_once(durable: Place) -> None:
    """Closing a store ends its lock without waiting for anything to expire."""
    first, second = durable.open(), durable.open()
    with first.lock(ME, 0):
        first.close()
        with second.lock(OTHER, 0):
            assert second.holder() == OTHER


def test_sigkill_of_a_holder_frees_the_lock(durable: Place) -> None:
    """After SIGKILL of its holder the lock is free within the time that the store says, at most 15 s."""
    store = durable.open()
    assert store.dead_holder_seconds <= 15
    with child(durable.url, "hold") as holder:
        assert holder.hears() == "held"
        found = store.holder()
        assert found is not None
        assert (found.host, found.pid) == ("child-host", holder.process.pid)
        began = time.monotonic()
        holder.end()
        with store.lock(ME, store.dead_holder_seconds):
            assert time.monotonic() - began <= store.dead_holder_seconds
            assert store.holder() == ME


def put_to_sleep(sleeper: Child, place: Place, store: OffsetStore) -> None:
    """Stops the child before its write, for longer than its session."""
    assert sleeper.hears() == "ready"
    sleeper.signal(signal.SIGSTOP)
    sleeper.wait_stopped()
    if place.url.startswith("zookeeper"):
        wait_for(lambda: store.holder() is None, store.dead_holder_seconds)


def wake(sleeper: Child) -> None:
    """The child goes on with its write."""
    sleeper.tell()
    sleeper.signal(signal.SIGCONT)


def test_a_sleeper_is_fenced_not_resurrected(durable: Place) -> None:
    """A driver that was stopped while another wrote is fenced when it wakes, whatever it believes about its lock."""
    store = durable.open()
    now = created(store)
    with child(durable.url, "write") as sleeper:
        put_to_sleep(sleeper, durable, store)
        theirs = store.replace(now, b"theirs")
        wake(sleeper)
        assert sleeper.hears() == "FencedError"
    assert store.load() == theirs


def test_an_undisturbed_sleeper_goes_on(durable: Place) -> None:
    """A driver that was stopped past its session while nobody wrote goes on: its expectation is still right."""
    store = durable.open()
    now = created(store)
    with child(durable.url, "write") as sleeper:
        put_to_sleep(sleeper, durable, store)
        wake(sleeper)
        assert sleeper.hears() == "done"
    assert store.load() == Versioned(now.version + 1, b"the child's", now.incarnation)


@pytest.mark.parametrize("name", ["replace.before", "replace.after"])
def test_killed_beside_a_write(durable: Place, name: str) -> None:
    """A driver killed before or after its write leaves the old or the new register, and the next one goes on."""
    store = durable.open()
    now = created(store)
    with child(durable.url, "die", name) as victim:
        assert victim.wait() == -signal.SIGKILL
    seen = store.load()
    assert seen == (now if name.endswith("before") else Versioned(now.version + 1, b"the child's", now.incarnation))
    assert store.replace(seen, b"next") == store.load()


def test_a_closed_store_does_not_hang(durable: Place) -> None:
    """Closing twice, or without a connection, is quick."""
    store, unused = durable.open(), durable.open()
    store.load()
    began = time.monotonic()
    for each in (store, store, unused):
        each.close()
    assert time.monotonic() - began < SLACK < DEADLINE
