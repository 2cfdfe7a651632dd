"""What only ZooKeeper can do to a register: lost replies, expired sessions, other creators, servers that are gone.

Faults are made by a TCP proxy and by signals to the real server; a second client, `direct`, sees what really is there.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss
from kazoo.security import make_acl

from offsets.deadline import Deadline
from offsets.errors import (
    AlreadyRunningError,
    ConfigError,
    FencedError,
    RegisterError,
    StateDamagedError,
    StoreError,
    UnavailableError,
)
from offsets.stores import open_store
from offsets.stores.base import OffsetStore, Versioned
from offsets.stores.zookeeper_session import Session
from offsets.stores.zookeeper_store import ZookeeperStore
from servers.proxy import Mode, Proxy
from servers.zookeeper_server import ZooKeeper
from tests.contract.store_places import DEADLINE, ME, OTHER, SESSION, SLACK, Place, at, child, created, wait_for
from tests.contract.wires import FIRST, Wire, before


@dataclass
class Scene(Wire):
    """One register, seen through a proxy by `store`, and past it by `other` (another driver) and `direct` (kazoo)."""

    place: Place
    proxy: Proxy
    store: OffsetStore
    other: OffsetStore
    direct: KazooClient
    path: str

    @property
    def register(self) -> str:
        return f"{self.path}/register"

    def through(self, deadline: float) -> OffsetStore:
        """One more driver behind the proxy."""
        return self.place.open(self.store.url, deadline)

    def write(self, state: bytes, version: int = -1) -> None:
        """What another driver does, past all proxies and failpoints; version 0 creates the register."""
        if self.direct.exists(self.register):
            self.direct.set(self.register, state, version - 1 if version > 0 else -1)
        else:
            self.direct.create(self.register, state, makepath=True)

    def recreate(self) -> None:
        self.direct.delete(self.register)
        self.direct.create(self.register, b"theirs")


@pytest.fixture
def scene(zookeeper: ZooKeeper, proxy: Callable[..., Proxy]) -> Iterator[Scene]:
    path, way = f"/test/{uuid.uuid4().hex}", proxy(zookeeper.hosts)
    place = Place(f"zookeeper://{zookeeper.hosts}{path}")
    direct = KazooClient(zookeeper.hosts, timeout=10, logger=logging.getLogger("quiet"))
    direct.start()
    yield Scene(place, way, place.open(f"zookeeper://{way.address}{path}"), place.open(), direct, path)
    place.close()
    direct.stop()
    direct.close()


LOSS = pytest.mark.parametrize("loss", ["lose_request", "lose_reply"])


@FIRST
def test_lost_reply(scene: Scene, first: bool) -> None:
    """A write that was carried out, and whose reply was lost, is known by its bytes and not sent again."""
    expected, version = before(scene.store, first)
    with at("replace.before", scene.lose_reply) as hits:
        done = scene.store.replace(expected, b"mine")
    assert scene.proxy.dropped > 0
    assert hits == ["replace.before", "replace.after"]
    assert (done.version, done.state) == (version, b"mine")
    assert scene.other.load() == done


@FIRST
def test_lost_request(scene: Scene, first: bool) -> None:
    """A write that was never carried out is sent again, the same bytes, once the register is seen unchanged."""
    expected, version = before(scene.store, first)
    with at("replace.before", scene.lose_request) as hits:
        done = scene.store.replace(expected, b"mine")
    assert hits == ["replace.before", "replace.before", "replace.sent", "replace.after"]
    assert (done.version, done.state) == (version, b"mine")
    assert scene.other.load() == done


@FIRST
def test_late_request(scene: Scene, first: bool) -> None:
    """The lost request arrives after all, between the look and the second sending: refused as stale, yet mine."""
    expected, version = before(scene.store, first)
    with at("replace.before", scene.lose_request, lambda: scene.write(b"mine", version)) as hits:
        done = scene.store.replace(expected, b"mine")
    assert hits == ["replace.before", "replace.before", "replace.after"]
    assert (done.version, done.state) == (version, b"mine")
    assert scene.other.load() == done


@FIRST
@LOSS
def test_overtaken_while_unknown(scene: Scene, first: bool, loss: str) -> None:
    """Another driver writes while the outcome is unknown: fenced, and its state stays, whoever was first."""
    expected, _ = before(scene.store, first)
    lose = getattr(scene, loss)
    with at("replace.before", lambda: lose(lambda: scene.write(b"theirs"))) as hits, pytest.raises(FencedError):
        scene.store.replace(expected, b"mine")
    assert hits == ["replace.before"]
    found = scene.other.load()
    assert found is not None
    assert found.state == b"theirs"


@LOSS
def test_recreated_while_unknown(scene: Scene, loss: str) -> None:
    """The register is deleted and created again, up to the version that mine would have, with my bytes: no success."""
    now = created(scene.store, writes=1)
    lose = getattr(scene, loss)

    def recreate() -> None:
        scene.recreate()
        scene.direct.set(scene.register, b"mine", 0)

    with at("replace.before", lambda: lose(recreate)), pytest.raises(RegisterError, match="created again"):
        scene.store.replace(now, b"mine")


def test_deleted_while_unknown(scene: Scene) -> None:
    """The register is deleted while the outcome is unknown: it is not created again."""
    now = created(scene.store)
    with at("replace.before", lambda: scene.lose_reply(lambda: scene.direct.delete(scene.register))):  # noqa: SIM117
        with pytest.raises(RegisterError, match="deleted"):
            scene.store.replace(now, b"mine")
    assert scene.direct.exists(scene.register) is None


def test_a_lost_reply_by_failpoint(scene: Scene) -> None:
    """`replace.sent` is where crash tests lose a reply: the write is then found by its bytes."""
    now = created(scene.store)

    def lose() -> None:
        raise ConnectionLoss

    with at("replace.sent", lose) as hits:
        done = scene.store.replace(now, b"mine")
    assert hits.count("replace.before") == 1
    assert done == scene.other.load()


def test_a_deleted_register_is_noticed(scene: Scene) -> None:
    """A register that vanished is never created again by a driver that knew it."""
    now = created(scene.store)
    scene.direct.delete(scene.register)
    with pytest.raises(RegisterError, match="deleted") as e:
        scene.store.replace(now, b"mine")
    assert e.value.exit_status == 3
    assert scene.store.load() is None


def test_a_recreated_register_is_noticed(scene: Scene) -> None:
    """A version that fits by chance, in a register that was deleted and created again, is no success."""
    now = scene.store.replace(None, b"state 0")
    scene.recreate()
    with pytest.raises(RegisterError, match="created again"):
        scene.store.replace(now, b"mine")


@pytest.mark.parametrize("child", [False, True], ids=["empty", "folder"])
def test_an_empty_znode_is_damage(scene: Scene, child: bool) -> None:
    """A znode without bytes, or one made as a folder, is damage: not "never created"."""
    scene.direct.create(scene.register, b"", makepath=True)
    if child:
        scene.direct.create(f"{scene.register}/child", b"x")
    with pytest.raises(StateDamagedError, match="register"):
        scene.store.load()
    with pytest.raises(FencedError):
        scene.store.replace(None, b"mine")


@pytest.mark.parametrize("content", [b'{"format"', b"\xff\x00 not ours"])
def test_foreign_bytes_are_shown_as_they_are(scene: Scene, content: bytes) -> None:
    """Truncated or foreign bytes are what load returns, with their version: the codec refuses them."""
    created(scene.store)
    scene.write(content)
    found = scene.store.load()
    assert found is not None
    assert (found.state, found.version) == (content, 3)


def test_server_gone_for_a_while(scene: Scene, zookeeper: ZooKeeper) -> None:
    """A server that is killed and comes back within the deadline is waited for, before and during a write."""
    now = created(scene.store)
    zookeeper.server.kill()
    back = threading.Timer(1.5, zookeeper.server.start)
    back.start()
    now = scene.store.replace(now, b"mine")
    back.join()
    zookeeper.server.wait_ready()
    assert scene.other.load() == now

    def die() -> None:
        zookeeper.server.kill()
        back = threading.Timer(1.5, zookeeper.server.start)
        back.start()

    with at("replace.before", die):
        now = scene.store.replace(now, b"mine again")
    zookeeper.server.wait_ready()
    assert scene.other.load() == now


def test_server_gone_for_good(scene: Scene, zookeeper: ZooKeeper) -> None:
    """A server that does not come back is named when the deadline is over, and the register is unchanged."""
    now = created(scene.store)
    store = scene.through(deadline=1)
    store.load()
    zookeeper.server.kill()
    for call in (store.load, store.holder, lambda: store.replace(now, b"mine"), store.lock(ME, 0).__enter__):
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=scene.proxy.address) as e:
            call()
        assert time.monotonic() - began < 1 + SLACK
        assert (e.value.exit_status, e.value.retriable) == (69, True)
    zookeeper.server.restart()
    assert scene.other.load() == now


@pytest.mark.parametrize("arrives", [False, True], ids=["lost", "arrives late"])
def test_no_answer_until_the_deadline(scene: Scene, arrives: bool) -> None:
    """Nothing moves until the deadline: it says so in time; later the register is unchanged or mine, sent by nobody."""
    now = created(scene.store)
    store = scene.through(deadline=1)
    store.load()
    began = time.monotonic()
    with at("replace.before", lambda: scene.proxy.switch(Mode.BLACKHOLE)), pytest.raises(UnavailableError):
        store.replace(now, b"mine")
    assert time.monotonic() - began < 1 + SLACK
    if not arrives:
        scene.proxy.cut()
    scene.proxy.switch(Mode.PASS)
    if arrives:
        wait_for(lambda: scene.direct.get(scene.register)[0] == b"mine", 30)
    found = store.load()
    assert found == (Versioned(now.version + 1, b"mine", now.incarnation) if arrives else now)
    assert store.replace(found, b"next") == scene.other.load()


def test_a_write_that_waits_is_not_sent_later(scene: Scene) -> None:
    """A write that was still queued in the client when it was given up does not land when the connection is back."""

    class Torn(Session):
        def once(self, until: Deadline, ask: Callable[[KazooClient], Any]) -> Any:
            """The connection breaks after the last look at it, and before the request is queued."""

            def ask_torn(zk: KazooClient) -> Any:
                if torn:
                    scene.proxy.switch(Mode.REFUSE)
                    wait_for(lambda: not zk.connected, 30)
                return ask(zk)

            return super().once(until, ask_torn)

    torn = False
    now = created(scene.store)
    store = ZookeeperStore(scene.store.url, SESSION, 1, Torn)
    store.load()
    torn = True
    with pytest.raises(UnavailableError):
        store.replace(now, b"mine")
    torn = False
    scene.proxy.switch(Mode.PASS)
    wait_for(lambda: bool(scene.other.load()) and store.load() is not None, 30)
    assert scene.other.load() == now
    assert scene.other.replace(now, b"next") == store.load()
    store.close()


def test_stopped_server_is_waited_for(scene: Scene, zookeeper: ZooKeeper) -> None:
    """A server that hangs for a second only delays a write."""
    now = created(scene.store)
    zookeeper.server.stop()
    wake = threading.Timer(1, zookeeper.server.cont)
    wake.start()
    assert scene.store.replace(now, b"mine") == scene.other.load()
    wake.join()


def test_wrong_hosts_are_named_in_time(caplog: pytest.LogCaptureFixture) -> None:
    """Hosts that refuse, or have no address: one clear error within the deadline, and no word from kazoo."""
    store = open_store("zookeeper://127.0.0.1:1,no-such-host.invalid:2181/apps/orders", SESSION, 1)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1,no-such-host\.invalid:2181"):
        store.load()
    assert time.monotonic() - began < 1 + SLACK
    store.close()
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


def test_a_silent_host_leaves_time_for_the_next(zookeeper: ZooKeeper, proxy: Callable[..., Proxy]) -> None:
    """A host of the list that accepts connections and says nothing does not use up the deadline."""
    silent = proxy(zookeeper.hosts)
    silent.switch(Mode.BLACKHOLE)
    hosts = f"{silent.address},{zookeeper.hosts}"
    for _ in range(2):  # kazoo tries hosts in random order
        store = open_store(f"zookeeper://{hosts}/test/{uuid.uuid4().hex}", SESSION, DEADLINE)
        assert store.load() is None
        store.close()


def test_a_host_that_drops_everything_leaves_time_for_the_next(zookeeper: ZooKeeper) -> None:
    """Nor does one that is down, so that nothing even refuses the connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as down, ExitStack() as fillers:
        address = f"127.0.0.1:{down.getsockname()[1]}"
        for _ in range(4):  # past its backlog the kernel drops what comes, as an absent machine does
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(down.getsockname())
        for _ in range(3):
            url = f"zookeeper://{address},{address},{zookeeper.hosts}/test/{uuid.uuid4().hex}"
            store = open_store(url, session_timeout=12, deadline=4)
            assert store.load() is None
            store.close()


def test_a_read_without_an_answer_is_asked_again(scene: Scene) -> None:
    """The connection breaks under a read: nobody notices."""
    now = created(scene.store)
    scene.proxy.switch(Mode.DROP_REPLIES, drops=1)
    assert scene.store.load() == now
    assert scene.proxy.dropped == 1


def test_the_lock_is_gone_when_its_block_ends(scene: Scene) -> None:
    """Not a little later: a process that ends right after it must not leave the lock to its session's timeout."""
    with scene.store.lock(ME, 0):
        assert len(scene.direct.get_children(f"{scene.path}/lock")) == 1
        scene.proxy.switch(Mode.DELAY, delay=0.2)
    assert scene.direct.get_children(f"{scene.path}/lock") == []


def test_closing_does_not_wait_for_a_dead_link(scene: Scene) -> None:
    """A server that has stopped answering delays the end of a run by two seconds at most, also with the lock."""
    store = open_store(scene.store.url, session_timeout=12, deadline=8)
    with store.lock(ME, 0):
        scene.proxy.switch(Mode.BLACKHOLE)
        began = time.monotonic()
    assert time.monotonic() - began < 2 + SLACK


def test_a_wait_for_the_lock_ends_on_a_dead_link(scene: Scene) -> None:
    """The server stops answering a launch that waits for the lock: it gives up within wait and deadline."""
    store = open_store(scene.store.url, session_timeout=12, deadline=1)
    with scene.other.lock(OTHER, 0):
        ending = threading.Timer(0.3, scene.proxy.switch, [Mode.BLACKHOLE])
        ending.start()
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            store.lock(ME, 0.6).__enter__()
        assert time.monotonic() - began < 0.6 + 1 + SLACK
    store.close()


def test_nothing_on_stderr_in_an_outage(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Broken connections and retries are not the operator's business while they are mended."""
    now = created(scene.store)
    with at("replace.before", scene.lose_reply):
        scene.store.replace(now, b"mine")
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


@pytest.mark.parametrize("call", ["load", "create", "lock"])
def test_no_rights(scene: Scene, call: str) -> None:
    """A path whose ACL shuts us out is named with what to grant; nothing is retried until the deadline."""
    scene.direct.create(scene.path, makepath=True, acl=[make_acl("digest", "nobody:x", all=True)])
    if call == "load":
        scene.direct.set_acls("/test", [make_acl("world", "anyone", all=True)])
        scene.direct.delete(scene.path)
        scene.write(b"secret")
        scene.direct.set_acls(scene.register, [make_acl("digest", "nobody:x", all=True)])
    calls = {
        "load": scene.store.load,
        "create": lambda: scene.store.replace(None, b"a"),
        "lock": scene.store.lock(ME, 0).__enter__,
    }
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"refuses access to {scene.path}") as e:
        calls[call]()
    assert time.monotonic() - began < SLACK < DEADLINE
    assert (e.value.exit_status, e.value.retriable) == (1, False)
    assert "ACL" in e.value.remedy


def test_read_only_rights(scene: Scene) -> None:
    """A register that may be read but not written says so at the first write."""
    now = created(scene.store)
    scene.direct.set_acls(scene.register, [make_acl("world", "anyone", read=True)])
    assert scene.store.load() == now
    with pytest.raises(StoreError, match=scene.path):
        scene.store.replace(now, b"mine")


def test_who_waited_in_vain_leaves_no_contender(scene: Scene) -> None:
    """A launch that gave up is not in the queue any more: it can never get the lock behind everybody's back."""
    with scene.store.lock(ME, 0):
        for wait in (0, 0.3):
            with pytest.raises(AlreadyRunningError):
                scene.other.lock(OTHER, wait).__enter__()
        assert len(scene.direct.get_children(f"{scene.path}/lock")) == 1
    assert scene.direct.get_children(f"{scene.path}/lock") == []


def test_a_wait_survives_its_session(scene: Scene) -> None:
    """A launch that waits for the lock and loses its connection, even its session, goes on waiting and gets it."""
    got = threading.Event()

    def wait() -> None:
        with scene.store.lock(OTHER, 60):
            got.set()

    waiting = threading.Thread(target=wait)
    with scene.other.lock(ME, 0):
        waiting.start()
        wait_for(lambda: len(scene.direct.get_children(f"{scene.path}/lock")) == 2, 30)
        scene.proxy.switch(Mode.REFUSE)
        wait_for(lambda: len(scene.direct.get_children(f"{scene.path}/lock")) == 1, SESSION + 30)
        scene.proxy.switch(Mode.PASS)
        wait_for(lambda: len(scene.direct.get_children(f"{scene.path}/lock")) == 2, 30)
        assert not got.is_set()
    assert got.wait(30)
    waiting.join()


def test_foreign_contenders_are_tolerated(scene: Scene) -> None:
    """Whatever lies below the lock, a name is shown only for a holder that said who it is."""
    scene.direct.create(f"{scene.path}/lock/notes", b"\xff", makepath=True)
    assert scene.store.holder() is None
    foreign = scene.direct.create(f"{scene.path}/lock/x__lock__", b"\xff\xfe", ephemeral=True, sequence=True)
    assert scene.store.holder() is None
    with pytest.raises(AlreadyRunningError, match="has not said who it is"):
        scene.store.lock(ME, 0).__enter__()
    scene.direct.delete(foreign)
    with scene.store.lock(ME, 0):
        assert scene.other.holder() == ME


def test_an_outage_of_the_register_keeps_the_lock(scene: Scene) -> None:
    """A write that ran into its deadline does not give the lock away: they are two sessions."""
    store = scene.through(deadline=0.5)
    now = created(scene.store)
    with store.lock(ME, 0):
        with at("replace.before", lambda: scene.proxy.switch(Mode.BLACKHOLE)), pytest.raises(UnavailableError):
            store.replace(now, b"mine")
        scene.proxy.switch(Mode.PASS)
        assert scene.other.holder() == ME


def test_the_lock_of_a_killed_holder_behind_waiters(scene: Scene) -> None:
    """Of several runs that wait for a dead holder one gets the lock, and no longer than the store says."""
    with child(scene.place.url, "hold") as holder:
        assert holder.hears() == "held"
        began = time.monotonic()
        holder.end()
        with pytest.raises(AlreadyRunningError):
            scene.other.lock(OTHER, 0.5).__enter__()
        with scene.store.lock(ME, scene.store.dead_holder_seconds):
            assert time.monotonic() - began <= scene.store.dead_holder_seconds


def test_a_closed_store_stays_closed(scene: Scene) -> None:
    """A store that was closed does not connect again behind its owner's back."""
    scene.store.load()
    scene.store.close()
    with pytest.raises(StoreError, match="closed"):
        scene.store.load()


def test_a_session_too_long_to_keep_the_promise() -> None:
    """A dead holder must be noticed within 15 s: a session that makes that impossible is refused."""
    with pytest.raises(ConfigError, match="12 s"):
        ZookeeperStore("zookeeper://127.0.0.1:2181/apps/orders", session_timeout=13)
    assert ZookeeperStore("zookeeper://127.0.0.1:2181/apps/orders", session_timeout=12).dead_holder_seconds <= 15


def test_the_holder_is_readable_json(scene: Scene) -> None:
    """What an operator sees with ZooKeeper's own shell."""
    with scene.store.lock(ME, 0):
        (name,) = scene.direct.get_children(f"{scene.path}/lock")
        told = json.loads(scene.direct.get(f"{scene.path}/lock/{name}")[0])
    assert (told["host"], told["pid"], told["started"]) == (ME.host, ME.pid, ME.started)
