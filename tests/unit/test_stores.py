"""URLs of offset stores, owners as text, and what a write without an answer is taken for: all without a connection."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from offsets.errors import ConfigError, FencedError, RegisterError, StateDamagedError, StoreError, UnavailableError
from offsets.owners import owner_from_json, owner_to_json
from offsets.stores import check_store_url, log_store, open_store, sql_store, urls
from offsets.stores.base import MemoryStore, Versioned
from offsets.stores.log_store import LogStore
from offsets.stores.sql_errors import explained, may_pass
from offsets.stores.sql_store import SqlStore
from offsets.stores.zookeeper_store import ZookeeperStore, outcome
from offsets.structs import Owner

ME = Owner("my-host", 7, "2026-11-21T00:00:00Z", "me")
THEN = Versioned(4, b"then", 99)  # what the writer expects
LOGGED = Versioned(4, b"then")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory:", MemoryStore),
        ("file:///var/lib/orders", LogStore),
        ("file:///var/lib/my%20orders/", LogStore),
        ("webhdfs://namenode:9870/apps/orders", LogStore),
        ("webhdfs://namenode:9870/apps/orders?user=etl", LogStore),
        ("zookeeper://zk1:2181,zk2:2181/apps/orders", ZookeeperStore),
        ("zookeeper://zk1/orders", ZookeeperStore),
        ("zookeeper://[::1]:2181/orders/", ZookeeperStore),
        ("postgresql://etl@db:5432/jobs?register=orders", SqlStore),
        ("postgresql://db/jobs", SqlStore),
        ("sqlite:////var/lib/orders.db?register=a.b-c_1", SqlStore),
    ],
)
def test_sound_urls_open(url: str, kind: type) -> None:
    """A sound URL has no problems, and opens without a connection."""
    assert check_store_url(url) == []
    store = open_store(url)
    assert isinstance(store, kind)
    assert store.url == url
    store.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "has no scheme"),
        ("/var/lib/orders", "has no scheme"),
        ("zookeper://zk1/orders", "did you mean zookeeper:?"),
        ("zk://zk1/orders", "did you mean zookeeper:?"),
        ("files:///x", "did you mean file:?"),
        ("FILE:///x", "did you mean file:?"),
        ("s3://bucket/x", "known are"),
        ("hdfs://namenode:8020/x", "did you mean webhdfs:?"),
        ("webhfds://namenode:9870/x", "did you mean webhdfs:?"),
        ("webhdfs://namenode/x", "HTTP port"),
        ("webhdfs://namenode:9870", "absolute directory"),
        ("webhdfs://namenode:9870/a/../b", "below the root"),
        ("webhdfs://namenode:9870/a?usr=me", "?user=NAME"),
        ("webhdfs://namenode:9870/a#b", "takes nothing after the path but ?user=NAME"),
        ("webhdfs://me:secret@namenode:9870/a", "?user="),
        ("memory:x", "nothing after the colon"),
        ("file:relative", "absolute path"),
        ("file://host/path", "three slashes"),
        ("file://", "names no folder"),
        ("file:///", "names no folder"),
        ("file:///a/../b", ". or .."),
        ("file:///a b", "blank"),
        ("file:///a?b", "no ? or #"),
        ("zookeeper:zk1/orders", "must begin with"),
        ("zookeeper://zk1:2181", "names no path"),
        ("zookeeper://zk1:2181/", "names no path"),
        ("zookeeper:///orders", "a host is missing"),
        ("zookeeper://zk1,,zk2/orders", "a host is missing"),
        ("zookeeper://zk1:0/orders", "1..65535"),
        ("zookeeper://zk1:99999/orders", "1..65535"),
        ("zookeeper://zk1:port/orders", "is not host:port"),
        ("zookeeper://me:secret@zk1/orders", "user or password"),
        ("zookeeper://zk1/a//b", "//"),
        ("zookeeper://zk1/a/../b", ".."),
        ("zookeeper://zk1/zookeeper/x", "belongs to ZooKeeper"),
        ("postgres://etl:secret@db/jobs", "did you mean postgresql:?"),
        ("postgresql:db/jobs", "must begin with"),
        ("postgresql://etl:secret@db/jobs", "PGPASSWORD"),
        ("postgresql://etl:secret@x@db/jobs", "PGPASSWORD"),
        ("postgresql://etl:secret/x@db/jobs", "PGPASSWORD"),
        ("postgresql://etl:x/secret@db/jobs", "PGPASSWORD"),
        ("postgresql://etl:x:secret@db/jobs", "PGPASSWORD"),
        ("postgresql://etl@db/jobs?password=secret", "but ?register=NAME"),
        ("postgresql://etl@db/jobs?register=a&sslpassword=secret", "letters"),
        ("postgresql://db", "names no database"),
        ("postgresql:///jobs", "a host is missing"),
        ("postgresql://db:0/jobs", "1..65535"),
        ("postgresql://db/jobs/more", "names no database"),
        ("postgresql://db/jobs?sslmode=require", "but ?register=NAME"),
        ("postgresql://db/jobs?register=a&sslmode=x", "letters"),
        ("postgresql://db/jobs#a", "but ?register=NAME"),
        ("sqlit:////orders.db", "did you mean sqlite:?"),
        ("sqlite:///orders.db", "four slashes"),
        ("sqlite://", "four slashes"),
        ("sqlite:////", "no file's"),
        ("sqlite:////a/../b.db", "no file's"),
        ("sqlite:////orders.db?register=a/b", "letters"),
    ],
)
def test_unsound_urls_say_why(url: str, says: str) -> None:
    """Each mistake is named with the URL, and such a URL does not open."""
    (problem,) = check_store_url(url)
    assert says in problem
    assert "secret" in url or repr(url) in problem
    assert "secret" not in problem
    with pytest.raises(ConfigError) as e:
        open_store(url)
    assert (e.value.problems, e.value.exit_status) == ((problem,), 2)


def test_all_problems_at_once() -> None:
    """Two wrong hosts and no path are three lines."""
    assert len(check_store_url("zookeeper://a b:1,c:0/".replace(" ", "!"))) == 3


def test_an_owner_survives_as_text() -> None:
    """One line of JSON, read back to the same owner."""
    assert "\n" not in owner_to_json(ME)
    assert owner_from_json(owner_to_json(ME).encode()) == ME


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff", b"null", b"[]", b"{}", owner_to_json(ME).encode()[:-1], b'{"host": "a", "pid": 1}']
    + [owner_to_json(ME).replace(" 7,", f" {pid},").encode() for pid in ('"7"', "true", "7.0", "null")]
    + [owner_to_json(ME).replace('"run_id"', '"more": 1, "run_id"').encode()],
)
def test_anything_else_is_nobody(text: bytes) -> None:
    """Half written, foreign or wrongly typed text names nobody, and never raises."""
    assert owner_from_json(text) is None


@pytest.mark.parametrize(
    ("expected", "seen", "result"),
    [
        (None, None, "again"),
        (None, Versioned(0, b"mine", 5), "done"),
        (None, Versioned(1, b"mine", 5), FencedError),
        (None, Versioned(0, b"theirs", 5), FencedError),
        (THEN, None, RegisterError),
        (THEN, THEN, "again"),
        (THEN, Versioned(5, b"mine", 99), "done"),
        (THEN, Versioned(5, b"theirs", 99), FencedError),
        (THEN, Versioned(6, b"mine", 99), FencedError),
        (THEN, Versioned(3, b"mine", 99), FencedError),
        (THEN, Versioned(4, b"then", 100), RegisterError),
        (THEN, Versioned(5, b"mine", 100), RegisterError),
    ],
)
def test_what_became_of_a_write(expected: Versioned | None, seen: Versioned | None, result: object) -> None:
    """Rule U as a table: done only with my bytes at the next version of the same register; again only if unchanged."""
    if isinstance(result, type) and issubclass(result, Exception):
        with pytest.raises(result):
            outcome("zookeeper://zk1/orders", expected, b"mine", seen)
    else:
        found = outcome("zookeeper://zk1/orders", expected, b"mine", seen)
        assert found == (seen if result == "done" else None)


@pytest.mark.parametrize(
    ("expected", "sent", "newest", "intact", "result"),
    [
        (None, b"mine", None, True, "again"),
        (None, b"mine", Versioned(0, b"mine"), True, "done"),
        (None, b"mine", Versioned(0, b"theirs"), True, FencedError),
        (None, b"mine", Versioned(1, b"mine"), True, FencedError),
        (None, None, Versioned(0, b"mine"), True, FencedError),
        (LOGGED, b"mine", LOGGED, True, "again"),
        (LOGGED, None, LOGGED, True, "again"),
        (LOGGED, b"mine", Versioned(5, b"mine"), True, "done"),
        (LOGGED, b"mine", Versioned(5, b"mine"), False, RegisterError),
        (LOGGED, None, Versioned(5, b"mine"), True, FencedError),
        (LOGGED, b"mine", Versioned(5, b"theirs"), True, FencedError),
        (LOGGED, b"mine", Versioned(5, b"theirs"), False, FencedError),
        (LOGGED, b"mine", Versioned(6, b"mine"), True, FencedError),
        (LOGGED, b"mine", Versioned(2000, b"mine"), False, FencedError),
        (LOGGED, b"mine", Versioned(4, b"another"), False, RegisterError),
        (LOGGED, b"mine", None, False, RegisterError),
    ],
)
def test_what_became_of_a_number(
    expected: Versioned | None, sent: bytes | None, newest: Versioned | None, intact: bool, result: object
) -> None:
    """The same for a numbered log: done only as the newest, with my bytes, right behind what I had read."""
    if isinstance(result, type) and issubclass(result, Exception):
        with pytest.raises(result):
            log_store.outcome("file:///orders", expected, sent, newest, intact)
    else:
        found = log_store.outcome("file:///orders", expected, sent, newest, intact)
        assert found == (newest if result == "done" else None)


ROW = Versioned(4, b"then", 99)
MINE = Versioned(5, b"mine", 99)


@pytest.mark.parametrize(
    ("expected", "written", "found", "result"),
    [
        (None, MINE, None, False),
        (None, MINE, MINE, True),
        (None, MINE, Versioned(5, b"mine", 98), FencedError),
        (ROW, MINE, ROW, False),
        (ROW, MINE, MINE, True),
        (ROW, MINE, Versioned(5, b"theirs", 99), FencedError),
        (ROW, MINE, Versioned(6, b"mine", 99), FencedError),
        (ROW, MINE, None, RegisterError),
        (ROW, MINE, Versioned(5, b"mine", 100), RegisterError),
        (ROW, MINE, Versioned(4, b"another", 99), RegisterError),
        (ROW, MINE, Versioned(3, b"older", 99), RegisterError),
    ],
)
def test_what_became_of_a_transaction(
    expected: Versioned | None, written: Versioned, found: Versioned | None, result: object
) -> None:
    """The same for a row of a database: done only as what I wrote, to the byte; again only if unchanged."""
    if isinstance(result, type) and issubclass(result, Exception):
        with pytest.raises(result):
            sql_store.outcome("sqlite:////orders.db", expected, written, found)
    else:
        assert sql_store.outcome("sqlite:////orders.db", expected, written, found) is result


def test_the_parts_of_a_database_url() -> None:
    """Names are decoded, and a register that is not named is the default one."""
    found = urls.sql_url("postgresql://et%40l@[::1]:6543/j%20obs?register=orders")
    assert found == ("postgresql", "et@l", "::1", 6543, "j obs", "orders")
    assert urls.sql_url("postgresql://db/jobs") == ("postgresql", None, "db", None, "jobs", "default")
    assert urls.sql_url("sqlite:////var/my%20lib/o.db") == ("sqlite", None, None, None, "/var/my lib/o.db", "default")


def lite(code: int | None) -> Exception:
    """SQLite's error with this result code, None as Python 3.10 gives it."""
    error = sqlite3.OperationalError("said")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("orig", "kind", "remedy"),
    [
        (psycopg.OperationalError("said"), UnavailableError, "PGPASSFILE"),
        (psycopg.InterfaceError("said"), UnavailableError, "see that it runs"),
        (psycopg.ProgrammingError("said"), StoreError, "mend in the database"),
        (psycopg.errors.AdminShutdown("said"), UnavailableError, "see that it runs"),
        (psycopg.errors.LockNotAvailable("said"), UnavailableError, "see that it runs"),
        (psycopg.errors.DeadlockDetected("said"), UnavailableError, "see that it runs"),
        (psycopg.errors.IdleInTransactionSessionTimeout("said"), UnavailableError, "see that it runs"),
        (psycopg.errors.TooManyConnections("said"), UnavailableError, "see that it runs"),
        (psycopg.errors.DiskFull("said"), StoreError, "make room"),
        (psycopg.errors.InsufficientPrivilege("said"), StoreError, "grant this user CREATE"),
        (psycopg.errors.ReadOnlySqlTransaction("said"), StoreError, "primary"),
        (psycopg.errors.UndefinedTable("said"), RegisterError, "find out who did it"),
        (lite(5), UnavailableError, "see that it runs"),
        (lite(5 | 2 << 8), UnavailableError, "see that it runs"),
        (lite(None), UnavailableError, "see that it runs"),
        (lite(11), StateDamagedError, "restore"),
        (lite(26), StateDamagedError, "restore"),
        (lite(13), StoreError, "make room on the disk of /var/lib"),
        (lite(8), StoreError, "read and write /var/lib"),
        (lite(14), StoreError, "read and write /var/lib"),
        (lite(10), StoreError, "look at the disk of /var/lib"),
    ],
)
def test_what_an_error_of_a_database_means(orig: Exception, kind: type[Exception], remedy: str) -> None:
    """Wait for what passes; else say what a person has to do.  What the database said stands in it."""
    error: DBAPIError = OperationalError("SELECT", {}, orig)
    told = explained(error, "postgresql://db/jobs", "/var/lib/orders.db" if "sqlite" in type(orig).__module__ else "")
    assert type(told) is kind
    assert may_pass(error) == told.retriable
    assert remedy in told.remedy
