"""The lease lock over a local disk: what is taken for dead and what is not, and what its holder stands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from offsets.errors import AlreadyRunningError, ConfigError, StoreError, UnavailableError
from offsets.filesystems import FileStatus, LocalFilesystem
from offsets.filesystems.local import link_and_unlink
from offsets.stores.lease_lock import LONGEST_GAP, POLLS, LeaseLock, Watch
from offsets.structs import Owner

TIMEOUT = 0.4  # seconds
ME, OTHER = Owner("here", 1, "2026-11-21T00:00:00Z", "me"), Owner("there", 2, "2026-11-21T00:00:01Z", "other")
LEASE = FileStatus("00000000000000000000.json", 9, False, "1")


@dataclass(frozen=True)
class Disk(LocalFilesystem):
    """A disk with faults: what to do before the operation of that name, or after a rename."""

    faults: dict[str, Callable[[], object]] = field(default_factory=dict, compare=False)

    def touch(self, path: str) -> None:
        self.faults.get("touch", int)()
        super().touch(path)

    def put(self, path: str, content: bytes) -> FileStatus:
        self.faults.get("put", int)()
        return super().put(path, content)

    def rename_no_clobber(self, source: str, destination: str) -> None:
        super().rename_no_clobber(source, destination)
        self.faults.get("renamed", int)()

    def delete(self, path: str, recursive: bool = False) -> None:
        self.faults.get("delete", int)()
        super().delete(path, recursive)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(str(tmp_path), link_and_unlink)


def lock_on(disk: Disk, **faults: Callable[[], object]) -> LeaseLock:
    return LeaseLock(Disk(disk.root, disk.rename, faults=faults), TIMEOUT, 2.0)


def leases(disk: Disk) -> list[str]:
    return [entry.name for entry in disk.list("lock")]


def once(error: Exception) -> Callable[[], None]:
    """Raises the error the first time."""
    errors = [error]

    def fail() -> None:
        if errors:
            raise errors.pop()

    return fail


def leave_behind(disk: Disk, owner: Owner = OTHER) -> None:
    """What SIGKILL of a holder leaves: a lease that nobody touches."""
    lock = lock_on(disk)
    lock.acquire(owner, 0)
    assert lock._held
    lock._held[1].set()


# ---- what a watcher takes for dead


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def looks(watch: Watch, clock: Clock, seconds: float, lease: Callable[[float], FileStatus]) -> float | None:
    """After how many seconds of looks at every poll the lease was found dead; None if it never was."""
    begin = clock.now
    while clock.now < begin + seconds:
        if watch.dead(lease(clock.now - begin)):
            return clock.now - begin
        clock.now += 10 / POLLS
    return None


def test_a_lease_that_never_moves_is_dead_after_the_timeout() -> None:
    """Not before, however old it was when the watcher came, and at the first look after."""
    clock = Clock()
    assert looks(Watch(10, clock), clock, 60, lambda _: LEASE) == pytest.approx(10)


@pytest.mark.parametrize("period", [2.5, 9.0])
def test_a_lease_that_moves_is_never_dead(period: float) -> None:
    """Slow signs of life are signs of life, also under a clock that steps back: only "the same" matters."""
    clock = Clock()
    assert looks(Watch(10, clock), clock, 200, lambda t: LEASE._replace(identity=str(-(t // period)))) is None


def test_another_lease_begins_anew() -> None:
    """A lease that took the place of one that was nearly dead is watched for a whole timeout."""
    clock = Clock()
    other = LEASE._replace(name="00000000000000000001.json")
    assert looks(Watch(10, clock), clock, 60, lambda t: LEASE if t < 9 else other) == pytest.approx(19, abs=1)


def test_time_without_looks_hardly_counts() -> None:
    """A watcher that slept, or had no server to ask, for an hour goes on where it was."""
    clock = Clock()
    watch = Watch(10, clock)
    assert looks(watch, clock, 5, lambda _: LEASE) is None
    clock.now += 3600
    assert not watch.dead(LEASE)
    assert looks(watch, clock, 60, lambda _: LEASE) == pytest.approx(5 - LONGEST_GAP * 10 / POLLS, abs=0.6)


# ---- holders


def test_a_live_holder_is_not_taken_over(disk: Disk) -> None:
    """Whoever waits for many timeouts is refused and told the holder's name, and leaves nothing behind."""
    holder = lock_on(disk)
    holder.acquire(ME, 0)
    before = leases(disk)
    with pytest.raises(AlreadyRunningError) as e:
        lock_on(disk).acquire(OTHER, 2.5 * TIMEOUT)
    assert (e.value.holder, leases(disk)) == (ME, before)
    holder.release()
    assert leases(disk) == []


def test_a_sleeper_leaves_the_lease_of_its_successor_alone(disk: Disk) -> None:
    """Numbers begin anew after a release: the sleeper's own number is now another launch's, alive."""
    asleep = threading.Event()
    sleeper, second, third = lock_on(disk, touch=asleep.wait), lock_on(disk), lock_on(disk)
    sleeper.acquire(ME, 0)
    second.acquire(OTHER, 5 * TIMEOUT)
    second.release()
    third.acquire(OTHER, 0)
    (before,) = leases(disk)
    asleep.set()
    sleeper.release()
    assert leases(disk) == [before]
    third.release()
    assert leases(disk) == []


def test_a_sleeper_gives_no_sign_of_life_for_another(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """It notices that its lock was taken; a successor that is dead must not seem to be alive."""
    sleeper = lock_on(disk)
    sleeper.acquire(ME, 0)
    disk.delete(f"lock/{leases(disk)[0]}")
    leave_behind(disk)
    lock_on(disk).acquire(OTHER, 5 * TIMEOUT)
    assert "taken by another launch" in caplog.text


def test_a_slow_holder_is_not_taken_over(disk: Disk) -> None:
    """Signs of life that come late, but within the timeout, keep the lock."""
    holder = lock_on(disk, touch=lambda: time.sleep(TIMEOUT / 2))
    holder.acquire(ME, 0)
    with pytest.raises(AlreadyRunningError):
        lock_on(disk).acquire(OTHER, 2.5 * TIMEOUT)
    holder.release()


def test_errors_do_not_end_the_signs_of_life(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """The holder says that one was lost, be it by an outage or by a defect, and goes on."""
    errors: list[Exception | None] = [UnavailableError("an outage"), None, None, RuntimeError("a defect")]

    def fail() -> None:
        if errors and (error := errors.pop(0)):
            raise error

    holder = lock_on(disk, touch=fail)
    holder.acquire(ME, 0)
    with pytest.raises(AlreadyRunningError):
        lock_on(disk).acquire(OTHER, 2.5 * TIMEOUT)
    assert "an outage" in caplog.text
    assert "a defect" in caplog.text
    holder.release()


def test_a_dead_holder_is_noticed(disk: Disk) -> None:
    """Not before the timeout; its lease is gone then."""
    leave_behind(disk)
    lock, began = lock_on(disk), time.monotonic()
    assert lock.holder() == OTHER
    lock.acquire(ME, 60)
    assert time.monotonic() - began >= TIMEOUT
    assert (lock.holder(), leases(disk)) == (ME, ["00000000000000000001.json"])
    lock.release()


def test_nobody_waits_for_a_holder_that_released(disk: Disk) -> None:
    """Also behind one that was found dead."""
    for owner in (ME, OTHER, ME):
        lock = lock_on(disk)
        lock.acquire(owner, 0)
        assert lock.holder() == owner
        lock.release()
        lock.release()
        assert lock.holder() is None


def test_a_holder_that_lost_the_lock_says_so(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """Silent for longer than the timeout, it was taken for dead: one warning, no harm to the new holder."""
    asleep, awake = threading.Event(), threading.Event()

    def sleep() -> None:
        asleep.set()
        awake.wait(20)

    sleeper, other = lock_on(disk, touch=sleep), lock_on(disk)
    sleeper.acquire(ME, 0)
    assert asleep.wait(30)
    other.acquire(OTHER, other.dead_holder_seconds)
    with caplog.at_level(logging.WARNING):
        awake.set()
        deadline = time.monotonic() + 5
        while "taken by another launch" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.text.count("taken by another launch") == 1
    sleeper.release()
    assert other.holder() == OTHER
    other.release()


def test_a_release_that_fails_is_no_error(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    """The lease dies then, which the log says."""
    lock = lock_on(disk, delete=once(UnavailableError("away")))
    lock.acquire(ME, 0)
    lock.release()
    assert "not at once: away" in caplog.text
    assert lock.holder() == ME


# ---- takers


def test_of_many_takers_one_wins(disk: Disk) -> None:
    """Of eight that wait for a dead holder one gets the lock."""
    leave_behind(disk)
    locks, won = [lock_on(disk) for _ in range(8)], []

    def take(lock: LeaseLock, number: int) -> None:
        try:
            lock.acquire(Owner("host", number, "now", str(number)), 2 * TIMEOUT)
            won.append(number)
        except AlreadyRunningError:
            pass

    takers = [threading.Thread(target=take, args=(lock, n)) for n, lock in enumerate(locks)]
    for each in takers:
        each.start()
    for each in takers:
        each.join()
    assert len(won) == 1
    for lock in locks:
        lock.release()
    assert leases(disk) == []


def test_a_lost_reply_to_taking_is_not_a_stranger(disk: Disk) -> None:
    """Who took the lock without learning it knows its own lease, and does not wait for it to die."""
    lock = lock_on(disk, renamed=once(UnavailableError("lost")))
    lock.acquire(ME, 10)
    assert leases(disk) == ["00000000000000000000.json"], "the one that it took first"
    lock.release()


def test_taking_is_tried_again_until_the_deadline(disk: Disk) -> None:
    """A server that refuses writes for a moment costs that moment; one that goes on is an UnavailableError."""
    lock_on(disk, put=once(UnavailableError("safe mode"))).acquire(ME, 0)

    def refuse() -> None:
        raise UnavailableError("safe mode")

    for lease in leases(disk):
        disk.delete(f"lock/{lease}")
    with pytest.raises(UnavailableError, match="safe mode"):
        LeaseLock(Disk(disk.root, disk.rename, faults={"put": refuse}), TIMEOUT, 0.3).acquire(OTHER, 0)


def test_a_taker_that_could_not_write_watches_anew(disk: Disk) -> None:
    """Nor could the holder: what refused the taker's write may have refused its signs of life."""
    leave_behind(disk)
    began = time.monotonic()
    lock = lock_on(disk, put=once(UnavailableError("safe mode")))
    lock.acquire(ME, 10)
    assert time.monotonic() - began >= 2 * TIMEOUT
    lock.release()


def test_a_taker_that_was_overtaken_gives_up(disk: Disk) -> None:
    """A lease newer than one's own counts more, and one's own goes."""
    newer = lock_on(disk)

    def overtake() -> None:
        disk.put("lock/00000000000000000007.json", b"{}")

    with pytest.raises(AlreadyRunningError):
        lock_on(disk, renamed=overtake).acquire(ME, 0)
    assert leases(disk) == ["00000000000000000007.json"]
    assert newer.holder() is None


def test_leftovers_of_killed_takers_go(disk: Disk) -> None:
    """Half a lease is removed by the next holder."""
    disk.put(f"lock/.{0:020}.{'a' * 32}.tmp", b"half")
    lock = lock_on(disk)
    lock.acquire(ME, 0)
    assert leases(disk) == ["00000000000000000000.json"]
    lock.release()


def test_a_session_is_bounded(disk: Disk) -> None:
    """So that a dead holder is noticed within 15 s."""
    assert LeaseLock(disk, 12, 1).dead_holder_seconds == 15
    for seconds in (0, 12.5):
        with pytest.raises(ConfigError):
            LeaseLock(disk, seconds, 1)


def test_files_without_identities_are_refused(disk: Disk) -> None:
    """Such a server cannot tell whether a lease moves: the remedy names the right one."""

    @dataclass(frozen=True)
    class Gateway(LocalFilesystem):
        def put(self, path: str, content: bytes) -> FileStatus:
            return super().put(path, content)._replace(identity="")

    with pytest.raises(StoreError) as e:
        LeaseLock(Gateway(disk.root), TIMEOUT, 1).acquire(ME, 0)
    assert "NameNode" in e.value.remedy
