"""What only a database can do to a register: replies to COMMIT that are lost, drivers that stand still within a
transaction, sessions that end, tables and files that others have touched; and work within the register's transaction.

Faults are made by a TCP proxy and by signals to the real PostgreSQL; `direct` sees what really is there.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from offsets.deadline import Deadline
from offsets.errors import (
    AlreadyRunningError,
    FencedError,
    RegisterError,
    StateDamagedError,
    StoreError,
    StreamError,
    UnavailableError,
)
from offsets.stores.base import Versioned
from offsets.stores.sql_database import Database
from offsets.stores.sql_store import SqlStore
from servers.postgres_server import Postgres
from servers.proxy import Mode, Proxy
from tests.contract.store_places import DEADLINE, ME, OTHER, SESSION, SLACK, Place, child, created, wait_for
from tests.contract.wires import FIRST, Wire, before


@dataclass
class Work:
    """What others do within: a row in table `done`; then `after`, first call first."""

    table: str
    after: list[Callable[[], object]] = field(default_factory=list)
    calls: int = 0

    def __call__(self, connection: Connection) -> None:
        self.calls += 1
        connection.execute(text(f"INSERT INTO {self.table} VALUES ({self.calls})"))
        if len(self.after) >= self.calls:
            self.after[self.calls - 1]()


@dataclass
class Scene(Wire):
    """One register, seen through a proxy by `store`, and past it by `other` (another driver) and `direct` (psycopg)."""

    place: Place
    proxy: Proxy
    store: SqlStore
    other: SqlStore
    direct: Any
    name: str
    postgres: Postgres

    def through(self, deadline: float) -> SqlStore:
        """One more driver behind the proxy."""
        return opened(self.place, self.store.url, deadline)

    def work(self, *after: Callable[[], object]) -> Work:
        return Work(self.table, list(after))

    @property
    def table(self) -> str:
        return f"done_{self.name}"

    def done(self) -> list[int]:
        """What the work has left, as others see it."""
        return [row[0] for row in self.direct.execute(f"SELECT * FROM {self.table}").fetchall()]

    def overtake(self) -> None:
        """What another driver does."""
        self.other.replace(self.other.load(), b"theirs")

    def delete(self) -> None:
        self.direct.execute("DELETE FROM kds_registers WHERE name = %s", [self.name])

    def recreate(self) -> None:
        self.delete()
        self.other.replace(None, b"theirs")


def opened(place: Place, url: str = "", deadline: float = DEADLINE, retain: int = 1000) -> SqlStore:
    store = place.open(url, deadline, retain)
    assert isinstance(store, SqlStore)
    return store


@pytest.fixture
def scene(postgres: Postgres, proxy: Callable[..., Proxy]) -> Iterator[Scene]:
    name, way = uuid.uuid4().hex, proxy(postgres.address)
    url = f"{postgres.url}?register={name}"
    place = Place(url)
    with postgres.connect() as direct:
        direct.execute(f"CREATE TABLE done_{name} (number INTEGER PRIMARY KEY)")
        store = opened(place, url.replace(postgres.address, way.address))
        yield Scene(place, way, store, opened(place), direct, name, postgres)
        place.close()


@FIRST
def test_lost_reply(scene: Scene, first: bool) -> None:
    """A COMMIT that was carried out, and whose reply was lost, is known by its bytes: nothing is done again."""
    expected, version = before(scene.store, first)
    work = scene.work(scene.lose_reply)
    done = scene.store.replace_within(expected, b"mine", work)
    assert scene.proxy.dropped > 0
    assert (done.version, done.state, work.calls) == (version, b"mine", 1)
    assert scene.other.load() == done
    assert scene.done() == [1]


@FIRST
def test_lost_request(scene: Scene, first: bool) -> None:
    """A COMMIT that never arrived was rolled back, and all of it is done again, once."""
    expected, version = before(scene.store, first)
    work = scene.work(scene.lose_request)
    done = scene.store.replace_within(expected, b"mine", work)
    assert (done.version, done.state, work.calls) == (version, b"mine", 2)
    assert scene.other.load() == done
    assert scene.done() == [2]


@pytest.mark.parametrize("loss", ["lose_request", "lose_reply"])
def test_overtaken_while_unknown(scene: Scene, loss: str) -> None:
    """Another driver writes while the outcome is unknown: fenced; the work is there if mine was carried out first."""
    now = created(scene.store)
    lose = getattr(scene, loss)
    with pytest.raises(FencedError):
        scene.store.replace_within(now, b"mine", scene.work(lambda: lose(scene.overtake)))
    found = scene.other.load()
    assert found is not None
    assert (found.state, found.version) == (b"theirs", now.version + (2 if loss == "lose_reply" else 1))
    assert scene.done() == ([1] if loss == "lose_reply" else [])


@pytest.mark.parametrize(("touch", "says"), [("delete", "deleted"), ("recreate", "created again")])
def test_a_register_that_others_have_touched(scene: Scene, touch: str, says: str) -> None:
    """A register that was deleted, or created again at a version that fits by chance, is never written."""
    now = scene.store.replace(None, b"state 0")
    getattr(scene, touch)()
    found = scene.other.load()
    with pytest.raises(RegisterError, match=says) as e:
        scene.store.replace_within(now, b"mine", scene.work())
    assert e.value.exit_status == 3
    assert (scene.other.load(), scene.done()) == (found, [])


def test_a_register_that_was_put_back(scene: Scene) -> None:
    """A database restored from an older copy is noticed."""
    now = created(scene.store)
    scene.direct.execute("UPDATE kds_registers SET version = 1 WHERE name = %s", [scene.name])
    scene.direct.execute("DELETE FROM kds_states WHERE name = %s AND version = 2", [scene.name])
    with pytest.raises(RegisterError, match="put back"):
        scene.store.replace(now, b"mine")
    scene.other.replace(scene.other.load(), b"state two")
    with pytest.raises(RegisterError, match="put back"):
        scene.store.replace(now, b"mine")


def test_tables_in_disorder(scene: Scene) -> None:
    """A state that is missing behind a row that names it is damage: no older one stands in for it."""
    created(scene.store)
    scene.direct.execute("DELETE FROM kds_states WHERE name = %s AND version = 2", [scene.name])
    for call in (scene.store.load, lambda: scene.store.states(9), lambda: scene.store.replace(None, b"mine")):
        with pytest.raises(StateDamagedError, match="in disorder"):
            call()


def test_foreign_bytes_are_shown_as_they_are(scene: Scene) -> None:
    """Bytes that others have written over are what load returns: the codec refuses them, and a repair replaces them."""
    now = created(scene.store)
    scene.direct.execute("UPDATE kds_states SET state = 'theirs' WHERE name = %s AND version = 2", [scene.name])
    found = scene.other.load()
    assert found == Versioned(now.version, b"theirs", now.incarnation)
    with pytest.raises(RegisterError, match="put back"):
        scene.store.replace(now, b"mine")
    assert scene.store.replace(found, b"mine") == scene.other.load()


def test_fenced_work_is_not_even_begun(scene: Scene) -> None:
    """The compare-and-set comes first: who is fenced does no work."""
    now = created(scene.store)
    scene.overtake()
    work = scene.work()
    with pytest.raises(FencedError):
        scene.store.replace_within(now, b"mine", work)
    assert (work.calls, scene.done()) == (0, [])


def fail(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_work_that_fails_is_rolled_back(scene: Scene) -> None:
    """What the work raises reaches the caller as it is; neither register nor data have changed, and all go on."""
    now = created(scene.store)
    with pytest.raises(KeyError, match="mine"):
        scene.store.replace_within(now, b"mine", scene.work(fail(KeyError("mine"))))
    scene.direct.execute(f"INSERT INTO {scene.table} VALUES (1)")
    with pytest.raises(IntegrityError):
        scene.store.replace_within(now, b"mine", scene.work())
    assert (scene.other.load(), scene.done()) == (now, [1])
    assert scene.other.replace(now, b"next") == scene.store.load()


@pytest.mark.full
def test_a_driver_that_stands_still_within(scene: Scene) -> None:
    """Its transaction ends with its session: others write on in time, and awake it is fenced, its work undone."""
    now = created(scene.other)
    with child(scene.place.url, "within", scene.table) as sleeper:
        sleeper.wait_stopped()
        began = time.monotonic()
        theirs = scene.other.replace(now, b"theirs")
        assert time.monotonic() - began < SESSION + SLACK
        sleeper.signal(18)  # SIGCONT
        assert sleeper.hears() == "FencedError"
    assert (scene.other.load(), scene.done()) == (theirs, [])


@pytest.mark.parametrize("arrives", [False, True], ids=["lost", "late"])
@pytest.mark.full
def test_no_answer_until_the_deadline(scene: Scene, arrives: bool) -> None:
    """Nothing moves until the deadline: it says so in time; later both register and work are mine, or neither."""
    now = created(scene.store)
    store = scene.through(deadline=2)
    store.load()
    began, work = time.monotonic(), scene.work(lambda: scene.proxy.switch(Mode.BLACKHOLE))
    with pytest.raises(UnavailableError, match=scene.proxy.address) as e:
        store.replace_within(now, b"mine", work)
    assert time.monotonic() - began < 2 + SLACK
    assert (e.value.exit_status, e.value.retriable) == (69, True)
    if not arrives:
        scene.proxy.cut()
    scene.proxy.switch(Mode.PASS)
    if arrives:
        wait_for(lambda: scene.done() == [1], 30)
    found = store.load()
    assert found == (Versioned(now.version + 1, b"mine", now.incarnation) if arrives else now)
    assert scene.done() == ([1] if arrives else [])
    assert store.replace(found, b"next") == scene.other.load()


@pytest.mark.full
def test_a_database_that_is_killed(scene: Scene) -> None:
    """It comes back within the deadline: waited for, also within a transaction; if not, it is named in time."""
    now = created(scene.store)

    def die() -> None:
        scene.postgres.server.kill()
        threading.Timer(0.5, scene.postgres.server.restart).start()

    work = scene.work(die)
    now = scene.store.replace_within(now, b"mine", work)
    scene.postgres.server.wait_ready()
    assert (scene.other.load(), work.calls) == (now, 2)
    scene.postgres.server.kill()
    store = scene.through(deadline=1)
    for call in (store.load, store.holder, lambda: store.replace(now, b"mine"), store.lock(ME, 0).__enter__):
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=scene.proxy.address):
            call()
        assert time.monotonic() - began < 1 + SLACK
    scene.postgres.server.restart()
    assert scene.other.load() == now


@pytest.mark.full
def test_the_lock_of_a_frozen_holder(scene: Scene) -> None:
    """A holder that gives no sign of life loses the lock within the time that the store says; awake, it is nobody."""
    with child(scene.place.url, "hold") as holder:
        assert holder.hears() == "held"
        holder.signal(19)  # SIGSTOP
        holder.wait_stopped()
        with pytest.raises(AlreadyRunningError, match="child-host"):
            scene.other.lock(OTHER, 0).__enter__()
        with scene.other.lock(OTHER, scene.other.dead_holder_seconds):
            holder.signal(18)
            time.sleep(SESSION / 2)  # in which it gives two signs of life
            assert scene.store.holder() == OTHER


@pytest.mark.full
def test_a_lock_outlives_its_session(scene: Scene) -> None:
    """A holder whose session has ended takes the lock again, while it is free."""
    with scene.store.lock(ME, 0):
        pid = "SELECT pid FROM kds_holders WHERE name = %s"
        (first,) = scene.direct.execute(pid, [scene.name]).fetchone()
        scene.proxy.cut()
        wait_for(lambda: scene.direct.execute(pid, [scene.name]).fetchone() != (first,), SESSION + SLACK)
        wait_for(lambda: scene.other.holder() == ME, SLACK)
        with pytest.raises(AlreadyRunningError):
            scene.other.lock(OTHER, 0).__enter__()
    with scene.other.lock(OTHER, 0):
        pass


def test_missing_rights_are_named(scene: Scene) -> None:
    """A user who may make no tables is told what to grant, at once."""
    database, user = f"d{scene.name}", f"u{scene.name}"
    url = scene.postgres.database(database)
    scene.direct.execute(f"CREATE ROLE {user} LOGIN")
    store = opened(scene.place, url.replace("postgres@", f"{user}@"))
    assert store.load() is None
    began = time.monotonic()
    for call in (lambda: store.replace(None, b"mine"), store.lock(ME, 0).__enter__):
        with pytest.raises(StoreError, match="permission denied") as e:
            call()
        assert (e.value.exit_status, e.value.retriable) == (1, False)
        assert "grant this user CREATE" in e.value.remedy
    assert time.monotonic() - began < SLACK < DEADLINE
    store.close()


def test_the_password_comes_from_the_environment(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PGPASSWORD, or a file that PGPASSFILE names; without either what is missing is named, and no secret shown."""
    user = f"guarded_{scene.name}"
    scene.direct.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'opensesame'")
    url = scene.place.url.replace("postgres@", f"{user}@")
    now = created(scene.other)
    with pytest.raises(UnavailableError) as e:
        opened(scene.place, url, deadline=1).load()
    assert "PGPASSFILE" in e.value.remedy
    (tmp_path / "pgpass").write_text(f"*:*:*:{user}:opensesame\n")
    (tmp_path / "pgpass").chmod(0o600)
    scene.direct.execute(f"GRANT SELECT ON kds_registers, kds_states, kds_holders TO {user}")
    for name, value in (("PGPASSWORD", "opensesame"), ("PGPASSFILE", str(tmp_path / "pgpass"))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert opened(scene.place, url).load() == now


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Place]:
    place = Place(f"sqlite:///{tmp_path}/orders.db")
    yield place
    place.close()


def test_sqlite_keeps_work_and_register_together(lite: Place, tmp_path: Path) -> None:
    """Both or neither, in SQLite as well."""
    store = opened(lite)
    now = created(store)
    direct = sqlite3.connect(tmp_path / "orders.db")
    direct.execute("CREATE TABLE done (number INTEGER)")
    with pytest.raises(KeyError):
        store.replace_within(now, b"mine", Work("done", [fail(KeyError())]))
    assert (store.load(), direct.execute("SELECT * FROM done").fetchall()) == (now, [])
    now = store.replace_within(now, b"mine", Work("done"))
    assert (store.load(), direct.execute("SELECT * FROM done").fetchall()) == (now, [(1,)])
    direct.close()


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "created again"])
def test_a_sqlite_file_that_was_deleted(lite: Place, tmp_path: Path, again: bool) -> None:
    """A driver never writes on into a file that is gone, nor into another one at its place."""
    store = opened(lite)
    now = created(store, 1)
    for file in tmp_path.glob("orders.db*"):
        file.unlink()
    theirs = store.replace(None, b"state 0") if again else None
    with pytest.raises(RegisterError, match="created again" if again else "deleted"):
        store.replace(now, b"mine")
    assert store.load() == theirs


def test_a_file_that_is_no_database(lite: Place, tmp_path: Path) -> None:
    """Somebody else's file is damage, and stays as it is; a folder in its place is named."""
    (tmp_path / "orders.db").write_bytes(b"not a database" * 100)
    for call in (opened(lite).load, lambda: opened(lite).replace(None, b"mine")):
        with pytest.raises(StateDamagedError, match="is not a database"):
            call()
    assert (tmp_path / "orders.db").read_bytes() == b"not a database" * 100
    (tmp_path / "orders.db").unlink()
    (tmp_path / "orders.db").mkdir()
    with pytest.raises(StoreError, match=r"orders\.db"):
        opened(lite).load()


def test_a_sqlite_writer_is_waited_for(lite: Place, tmp_path: Path) -> None:
    """While one writes, readers read on, and a writer waits until its deadline; for readers it never waits."""
    store = opened(lite, deadline=0.5)
    now = created(store)
    direct = sqlite3.connect(tmp_path / "orders.db", isolation_level=None, check_same_thread=False)
    direct.execute("BEGIN")
    assert direct.execute("SELECT count(*) FROM kds_states").fetchone() == (3,)
    now = store.replace(now, b"beside a reader")
    direct.execute("COMMIT")
    direct.execute("BEGIN IMMEDIATE")
    assert store.load() == now
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="locked"):
        store.replace(now, b"mine")
    assert time.monotonic() - began < 0.5 + SLACK
    threading.Timer(0.3, direct.close).start()
    assert opened(lite).replace(now, b"mine") == store.load()


def test_a_sqlite_transaction_that_reads_first(lite: Place, tmp_path: Path) -> None:
    """It waits for who writes before it reads, so that what it writes then is not refused as out of date."""
    created(opened(lite))
    direct = sqlite3.connect(tmp_path / "orders.db", isolation_level=None, check_same_thread=False)
    direct.execute("CREATE TABLE done (number INTEGER)")
    direct.execute("BEGIN IMMEDIATE")
    direct.execute("INSERT INTO done VALUES (1)")
    threading.Timer(0.3, lambda: direct.execute("COMMIT")).start()
    with Database(lite.url, DEADLINE).connected(Deadline(DEADLINE)) as connection, connection.begin():
        number = connection.scalar(text("SELECT count(*) FROM done"))
        connection.execute(text("INSERT INTO done VALUES (:number)"), {"number": number + 1})
    assert direct.execute("SELECT number FROM done").fetchall() == [(1,), (2,)]
    direct.close()


@pytest.mark.parametrize("kind", ["scene", "lite"])
def test_registers_of_one_database(kind: str, request: pytest.FixtureRequest) -> None:
    """Each has its own versions, states, lock and holder."""
    found = request.getfixturevalue(kind)
    place = found.place if isinstance(found, Scene) else found
    one, two = opened(place), opened(place, f"{place.url.partition('?')[0]}?register={uuid.uuid4().hex}")
    now = created(one)
    assert (two.load(), two.states(9)) == (None, [])
    theirs = two.replace(None, b"theirs")
    assert (one.load(), two.load(), two.states(9)) == (now, theirs, [theirs])
    with one.lock(ME, 0), two.lock(OTHER, 0):
        assert (one.holder(), two.holder()) == (ME, OTHER)


@pytest.mark.parametrize("kind", ["scene", "lite"])
def test_only_so_many_states_are_kept(kind: str, request: pytest.FixtureRequest) -> None:
    """The older ones are deleted in the transaction of the write that makes them too many."""
    found = request.getfixturevalue(kind)
    place = found.place if isinstance(found, Scene) else found
    store = opened(place, retain=3)
    now = store.replace(None, b"0")
    for number in range(1, 6):
        now = store.replace(now, b"%d" % number)
    assert [each.state for each in store.states(10)] == [b"5", b"4", b"3"]
    assert store.states(2)[0] == now


def test_errors_are_ours(scene: Scene) -> None:
    """Tables that were dropped under a driver stop it as a deleted register does."""
    database = f"e{scene.name}"
    url = scene.postgres.database(database)
    store = opened(scene.place, url)
    now = created(store)
    with scene.postgres.connect(database) as direct:
        direct.execute("DROP TABLE kds_registers, kds_states")
    with pytest.raises(StreamError, match="tables are gone") as e:
        store.replace(now, b"mine")
    assert e.value.exit_status == 3
    store.close()
