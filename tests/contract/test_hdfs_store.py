"""What only HDFS can do to a register: lost requests and replies, safe mode, a NameNode that dies in mid-write.

Faults are made by TCP proxies before NameNode and DataNode, and by signals and commands to the real servers.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from requests import Response
from requests.adapters import HTTPAdapter

from offsets.errors import FencedError, RegisterError, StoreError, UnavailableError
from offsets.filesystems import open_filesystem
from offsets.filesystems.webhdfs import open_webhdfs
from offsets.stores import open_store
from offsets.stores.base import OffsetStore, Versioned
from offsets.stores.file_lock import FileLock
from offsets.stores.log_store import LogStore
from servers.hdfs_server import Hdfs
from servers.proxy import Mode, Proxy
from tests.contract.store_places import DEADLINE, ME, OTHER, SLACK, Place, at, child, created, wait_for

PATIENT = 40.0  # seconds: longer than a NameNode needs to start on a busy machine


@pytest.fixture
def place(hdfs: Hdfs) -> Iterator[Place]:
    """A register in HDFS that was never created."""
    place = Place(f"webhdfs://{hdfs.webhdfs}/tests/{uuid.uuid4().hex}/orders")
    yield place
    place.close()


def states(place: Place) -> list[int]:
    return [int(entry.name[:20]) for entry in open_filesystem(place.url).list("state", after="0")]


# ---- lost requests and replies


class Wires(HTTPAdapter):
    """Sends every request through the proxies, and breaks the connection at one, `which` (from 0, or its operation).

    In mode DROP_REPLIES its reply is lost, in mode REFUSE the request itself.  `meanwhile` runs right after that.
    """

    def __init__(
        self, mode: Mode, which: int | str, proxies: dict[str, Proxy], meanwhile: Callable[[], object]
    ) -> None:
        super().__init__()
        self.mode, self.which, self.proxies, self.meanwhile = mode, which, proxies, meanwhile
        self.requests: list[str] = []
        self.broken = False

    def send(self, request: Any, *rest: Any, **more: Any) -> Response:
        parts = urlsplit(request.url)
        proxy = self.proxies[parts.netloc]
        request.url = parts._replace(netloc=proxy.address).geturl()
        self.requests.append(parts.query)
        if self.broken or self.which not in (len(self.requests) - 1, *parts.query.split("&")):
            return super().send(request, *rest, **more)
        self.broken = True
        proxy.switch(self.mode, drops=1)
        try:
            return super().send(request, *rest, **more)
        finally:
            assert self.mode is Mode.REFUSE or proxy.dropped == 1
            proxy.switch(Mode.PASS)
            self.meanwhile()


@pytest.fixture
def wired(hdfs: Hdfs, place: Place, proxy: Callable[..., Proxy]) -> Callable[..., tuple[OffsetStore, Wires]]:
    """`wired(mode, which, meanwhile)`: a driver behind the proxies."""
    data = f"127.0.0.1:{hdfs.ports['data_http']}"

    def make(mode: Mode, which: int | str, meanwhile: Callable[[], object] = lambda: None) -> tuple[OffsetStore, Wires]:
        proxies = {target: proxy(target) for target in (hdfs.webhdfs, data)}
        wires = Wires(mode, which, proxies, meanwhile)
        filesystem = open_webhdfs(place.url, 2.0)
        filesystem._session.mount("http://", wires)
        return LogStore(place.url, filesystem, FileLock("/nowhere/lock"), retain=2, deadline=DEADLINE), wires

    return make


LOSS = pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.DROP_REPLIES], ids=["request", "reply"])


@LOSS
def test_any_request_of_a_write_may_be_lost(place: Place, wired: Callable[..., Any], mode: Mode) -> None:
    """Whichever request of a write or of its clean-up never arrives, or has no reply: it is done once, and told so."""
    now, nth, more = created(place.open()), 0, True
    while more:
        store, wires = wired(mode, nth)
        written = store.replace(now, uuid.uuid4().bytes)
        assert written == place.open().load()
        assert written.version == now.version + 1
        now, more = written, wires.broken
        nth += 1
    assert nth > 8, wires.requests
    assert states(place)[-2:] == [now.version - 1, now.version]


@LOSS
def test_any_request_of_a_creation_may_be_lost(
    hdfs: Hdfs, proxy: Callable[..., Proxy], wired: Callable[..., Any], place: Place, mode: Mode
) -> None:
    """The same for the very first state."""
    for nth in range(6):
        store, wires = wired(mode, nth)
        assert store.replace(None, b"first") == place.open().load() == Versioned(0, b"first")
        assert wires.broken
        open_filesystem(place.url).delete("state", recursive=True)


@LOSS
def test_a_lost_rename_behind_which_others_wrote_is_fenced(place: Place, wired: Callable[..., Any], mode: Mode) -> None:
    """If somebody else has gone on meanwhile, the writer is fenced, whether its own write had arrived or not."""
    other = place.open()
    now = created(other)

    def overtake() -> None:
        seen = other.load()
        assert seen is not None
        other.replace(seen, b"theirs")

    store, wires = wired(mode, "op=RENAME", overtake)
    with pytest.raises(FencedError):
        store.replace(now, b"mine")
    assert wires.broken
    found = place.open().load()
    assert found is not None
    assert found == Versioned(now.version + (1 if mode is Mode.REFUSE else 2), b"theirs")


# ---- servers


def test_safe_mode_is_waited_for(hdfs: Hdfs, place: Place) -> None:
    """Reads go on; a write waits until its deadline, or until safe mode is left; nothing is written before."""
    store = place.open()
    now = created(store)
    results: list[Versioned] = []
    patient = place.open(deadline=PATIENT)
    writing = threading.Thread(target=lambda: results.append(patient.replace(now, b"mine")))
    hdfs.safe_mode(True)
    try:
        with pytest.raises(UnavailableError, match="SafeMode") as e:
            place.open(deadline=0.5).replace(now, b"never")
        assert e.value.exit_status == 69
        writing.start()
        assert store.load() == now
        with pytest.raises(UnavailableError, match="SafeMode"):
            place.open(deadline=0.5).lock(ME, 0).__enter__()
    finally:
        hdfs.safe_mode(False)
    writing.join(PATIENT)
    assert results == [store.load()] == [Versioned(now.version + 1, b"mine")]


@pytest.mark.parametrize("name", ["rename.before", pytest.param("rename.after", marks=pytest.mark.full)])
def test_a_namenode_killed_in_mid_write(hdfs: Hdfs, place: Place, name: str) -> None:
    """SIGKILL of the NameNode before or after the rename: the write waits for the restart, and is done once.

    A run that holds the lock keeps it, though another one waits: nobody could see it move, and it could not move.
    """
    store, rival = place.open(deadline=PATIENT), place.open(deadline=PATIENT)
    now, got = created(store), threading.Event()

    def wait() -> None:
        with rival.lock(OTHER, 3 * PATIENT):
            got.set()

    waiting = threading.Thread(target=wait)

    def restart() -> None:
        hdfs.namenode.kill()
        hdfs.namenode.start()

    with store.lock(ME, 0):
        waiting.start()
        with at(name, restart):
            written = store.replace(now, b"mine")
        assert written == Versioned(now.version + 1, b"mine")
        (lease,) = open_filesystem(place.url).list("lock")
        wait_for(lambda: open_filesystem(place.url).list("lock") != [lease], 30)
        assert not got.is_set()
    assert got.wait(60)
    waiting.join()
    hdfs.up()
    assert place.open().load() == written
    assert place.open().replace(written, b"next").version == written.version + 1


def test_a_server_that_is_away_is_named(proxy: Callable[..., Proxy]) -> None:
    """No NameNode there, or one that never answers: one line with its address, not long after the deadline."""
    silent = proxy("127.0.0.1:1")
    silent.switch(Mode.BLACKHOLE)
    for address in ("127.0.0.1:1", silent.address):
        store, began = open_store(f"webhdfs://{address}/apps/orders", 4, deadline=0.6), time.monotonic()
        for call in (store.load, lambda store=store: store.lock(ME, 0).__enter__()):
            with pytest.raises(UnavailableError, match=address):
                call()
        assert time.monotonic() - began < 2 + SLACK


# ---- sleepers


def sleep_through(place: Place, commits: int, retain: int) -> None:
    """A writer sleeps before its rename while others take that many numbers, and GC frees its own; then it wakes."""
    store = place.open(retain=retain)
    now = created(store)
    with child(place.url, "sleep", "rename.before") as sleeper:
        sleeper.wait_stopped()
        slept_at = now.version + 1
        for number in range(commits):
            now = store.replace(now, b"theirs %d" % number)
        assert slept_at < min(states(place)), "GC has not passed the sleeper's number"
        assert len(states(place)) == retain
        sleeper.signal(signal.SIGCONT)
        assert sleeper.hears() == "FencedError"
    assert place.open().load() == now
    assert store.replace(now, b"next") == place.open().load()


def test_a_sleeper_through_gc_is_fenced(place: Place) -> None:
    """Fenced, though nobody holds its number any more."""
    sleep_through(place, 20, retain=5)


@pytest.mark.full
def test_a_sleeper_through_2000_commits_is_fenced(place: Place) -> None:
    """The same with what a week of sleep may be."""
    sleep_through(place, 2000, retain=1000)


def test_a_temp_that_was_cleaned_up_cannot_win(place: Place) -> None:
    """A sleeper whose half-done state was removed by another launch is fenced by what it finds."""
    now = created(place.open())
    with child(place.url, "sleep", "rename.before") as sleeper:
        sleeper.wait_stopped()
        theirs = place.open().replace(now, b"theirs")  # of a new launch, which cleans up
        assert [entry.name[0] for entry in open_filesystem(place.url).list("state")] == ["0"] * 4
        sleeper.signal(signal.SIGCONT)
        assert sleeper.hears() == "FencedError"
    assert place.open().load() == theirs


def test_a_sleeping_holder_loses_the_lock_and_harms_nobody(place: Place) -> None:
    """Stopped past its session, it is taken for dead; when it wakes the new holder stays the holder."""
    store = place.open()
    with child(place.url, "hold") as sleeper:
        assert sleeper.hears() == "held"
        sleeper.signal(signal.SIGSTOP)
        sleeper.wait_stopped()
        with store.lock(ME, store.dead_holder_seconds):
            sleeper.signal(signal.SIGCONT)
            sleeper.tell()
            assert sleeper.wait() == 0
            assert store.holder() == ME
    assert store.holder() is None


# ---- what else may be found there


def test_a_register_that_was_made_anew_is_noticed(place: Place) -> None:
    """Deleted, or deleted and written again up to the same number: stopped, and nothing is added to it."""
    store, other = place.open(), place.open()
    now = created(store)
    open_filesystem(place.url).delete("state", recursive=True)
    with pytest.raises(RegisterError, match="deleted"):
        store.replace(now, b"mine")
    theirs = created(other)
    assert theirs.version == now.version
    other_bytes = other.replace(theirs, b"theirs")
    again = Versioned(other_bytes.version, b"what I wrote there")
    with pytest.raises(RegisterError, match="created again"):
        store.replace(again, b"mine")
    assert other.load() == other_bytes


def test_no_rights_is_said_at_once(hdfs: Hdfs, place: Place) -> None:
    """A user who may not: one line with path and remedy, no waiting for the deadline."""
    now = created(place.open())
    root = urlsplit(place.url).path
    hdfs.client().set_permission(root, "700")
    mallory = place.open(f"{place.url}?user=mallory")
    began = time.monotonic()
    for call in (mallory.load, mallory.holder, lambda: mallory.replace(now, b"x"), mallory.lock(ME, 0).__enter__):
        with pytest.raises(StoreError, match=root) as e:
            call()
        assert "user" in e.value.remedy
        assert e.value.exit_status == 1
    assert time.monotonic() - began < DEADLINE
    assert place.open().load() == now


def test_the_user_of_the_url(place: Place) -> None:
    """?user= is who writes."""
    home = place.url.replace("/tests/", "/tmp/")
    store = place.open(f"{home}?user=etl")
    assert store.replace(None, b"a") == place.open(home).load()
    wait_for(lambda: open_webhdfs(home)._client.status(urlsplit(home).path)["owner"] == "etl", 30)
