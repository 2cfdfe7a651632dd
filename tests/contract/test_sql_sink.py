"""SqlSink on both databases: what is staged, what becomes visible with the offsets, and what is left."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Connection, Date, MetaData, Numeric, String, Table
from sqlalchemy.exc import OperationalError

from offsets.errors import BatchError, FencedError, UnavailableError
from offsets.filesystems import LocalFilesystem
from offsets.manager import OffsetManager, current_owner
from offsets.planning import Plan
from offsets.profiles import PROFILES, TRANSACTIONAL
from offsets.stores import open_store
from offsets.stores.base import TransactionalStore
from offsets.stores.sql_database import Database
from offsets.structs import EXACTLY_ONCE, OffsetRange, TopicState
from streaming.records import Record
from streaming.run.batch import Batch, Stopwatch, sink_batch
from streaming.run.committer import Committer
from streaming.sinks import direct, sql, transactional
from streaming.sinks.contracts import Declaration
from streaming.sinks.current import BatchPlace, working_for
from streaming.sinks.direct import Sink
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import StagingPlace
from streaming.sinks.sql import SqlSink
from streaming.sinks.sql_staging import Staged
from streaming.sinks.transactional import SinkTransaction
from streaming.tasks.result import TaskResult

RANGES = (OffsetRange("t", 0, 0, 3), OffsetRange("t", 1, 0, 3))
PLACE = StagingPlace(0, 3, 5)
APP = "ab" * 16
COLUMNS = "k BIGINT NOT NULL PRIMARY KEY, text VARCHAR(20), amount NUMERIC(9, 2)"


# SQLite has one lock, which whoever writes has; its readers hold nobody up.
LOCKS_EACH_TABLE = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / "rows.db")):
            pass
        return f"sqlite:///{tmp_path}/rows.db"
    made: str = request.getfixturevalue("postgres").database(f"sink_{uuid.uuid4().hex}")
    return made


@pytest.fixture
def tables(url: str) -> Iterator[Tables]:
    found = Tables(url)
    found.run(f"CREATE TABLE keyed ({COLUMNS})")
    found.run("CREATE TABLE plain (k BIGINT, text VARCHAR(20))")
    yield found
    for database in (found.database, *(sink._database for sink in found.sinks)):
        database.close()


class Tables:
    """What anybody sees of the database, and what a sink is asked to do with it."""

    def __init__(self, url: str) -> None:
        self.url, self.database, self.sinks = url, Database(url, 30.0), list[SqlSink]()

    def run(self, statement: str) -> list[Any]:
        with self.database.engine.begin() as connection:
            done = connection.exec_driver_sql(statement)
            return [tuple(row) for row in done] if done.returns_rows else []

    def names(self) -> set[str]:
        if self.url.startswith("sqlite"):
            return {name for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {name for (name,) in self.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def sink(self, **attributes: Any) -> SqlSink:
        self.sinks.append(type("Sink", (Rows,), {"url": self.url, **attributes})())
        return self.sinks[-1]

    def stage(self, sink: SqlSink, range_: OffsetRange, rows: Sequence[Any], place: StagingPlace = PLACE) -> Staged:
        with working_for(BatchPlace(APP, place)):
            staged = sink.write_partition(range_, records(range_, rows))
        assert staged is not None
        return staged

    def commit(self, sink: SqlSink, *results: tuple[OffsetRange, Staged]) -> None:
        with self.database.engine.begin() as connection:
            sink.commit_batch(connection, None, list(results))  # type: ignore[arg-type]


class Rows(SqlSink):
    """The value of a record is its row."""

    table: Table | str = "plain"

    def row(self, record: Record) -> Mapping[str, Any] | None:
        return record.value  # type: ignore[return-value]


def records(range_: OffsetRange, rows: Sequence[Any]) -> list[Record]:
    start = range_.from_offset
    return [Record("t", range_.partition, start + n, 0, 1, None, row, ()) for n, row in enumerate(rows)]


def test_rows_are_nobodys_before_they_are_committed(tables: Tables) -> None:
    """Staged beside the table, then there in the order of ranges, None left out; nothing stays but the table."""
    sink = tables.sink()
    before = tables.names()
    second = tables.stage(sink, RANGES[1], [{"k": 2, "text": 'with "quotes" and \t'}, None])
    first = tables.stage(sink, RANGES[0], [{"k": 1, "text": None}])
    assert tables.run("SELECT * FROM plain") == []
    assert (first.rows, second.rows) == (1, 1)
    tables.commit(sink, (RANGES[0], first), (RANGES[1], second))
    assert sorted(tables.run("SELECT * FROM plain")) == [(1, None), (2, 'with "quotes" and \t')]
    assert tables.names() == before


def test_an_upsert_keeps_the_last_of_a_key(tables: Tables) -> None:
    """Of two rows in one range, of two ranges and of two batches the later one counts, in all columns."""
    sink = tables.sink(table="keyed", mode="upsert", key=("k",))
    for rows in ([{"k": 1, "text": "old", "amount": 1}], [{"k": 1, "text": "a"}, {"k": 2}, {"k": 1, "text": "b"}]):
        tables.commit(sink, (RANGES[0], tables.stage(sink, RANGES[0], rows)))
    assert tables.run("SELECT * FROM keyed ORDER BY k") == [(1, "b", None), (2, None, None)]
    first = tables.stage(sink, RANGES[0], [{"k": 2, "text": "first"}])
    second = tables.stage(sink, RANGES[1], [{"k": 2, "text": "second"}])
    tables.commit(sink, (RANGES[0], first), (RANGES[1], second))
    assert tables.run("SELECT text FROM keyed ORDER BY k") == [("b",), ("second",)]


def test_columns_that_are_left_out_keep_what_they_have(tables: Tables) -> None:
    """`columns` are written, others have their defaults, and keep their values in an upsert; a key alone can be one."""
    tables.run("CREATE TABLE counted (k BIGINT PRIMARY KEY, text VARCHAR(9), seen INTEGER DEFAULT 7)")
    sink = tables.sink(table="counted", columns=("k", "text"), mode="upsert", key=("k",))
    tables.commit(sink, (RANGES[0], tables.stage(sink, RANGES[0], [{"k": 1, "text": "a"}])))
    tables.run("UPDATE counted SET seen = 8")
    tables.commit(sink, (RANGES[0], tables.stage(sink, RANGES[0], [{"k": 1, "text": "b"}])))
    assert tables.run("SELECT * FROM counted") == [(1, "b", 8)]
    alone = tables.sink(table="counted", columns=("k",), mode="upsert", key=("k",))
    tables.commit(alone, (RANGES[0], tables.stage(alone, RANGES[0], [{"k": 1}, {"k": 2}])))
    assert tables.run("SELECT k, text FROM counted ORDER BY k") == [(1, "b"), (2, None)]


def test_a_table_may_be_declared_and_types_are_its_own(tables: Tables) -> None:
    """Values go through SQLAlchemy's types on their way in, whichever way they are loaded."""
    import datetime
    import decimal

    declared = Table(
        "Odd name; --",
        MetaData(),
        Column("select", BigInteger),
        Column("day", Date),
        Column("amount", Numeric(9, 2)),
        Column('"', String(9)),
    )
    declared.create(tables.database.engine)
    row = {"select": 1, "day": datetime.date(2026, 2, 3), "amount": decimal.Decimal("1.50"), '"': "'; --"}
    sink = tables.sink(table=declared)
    tables.commit(sink, (RANGES[0], tables.stage(sink, RANGES[0], [row])))
    with tables.database.engine.begin() as connection:
        assert connection.execute(declared.select()).one() == tuple(row.values())


def test_without_a_transaction_each_range_is_one(tables: Tables) -> None:
    """It is there when the range is written, all of it or nothing; an upsert again changes nothing."""
    sink = tables.sink(transactional=False, table="keyed", mode="upsert", key=("k",))
    rows = [{"k": 1, "text": "a"}, {"k": 2, "text": "b"}]
    before = tables.names()
    for _ in range(2):
        assert sink.write_partition(RANGES[0], records(RANGES[0], rows)) is None
    appending = tables.sink(transactional=False, table="keyed")
    with pytest.raises(BatchError, match=r"(?i)Sink into keyed: .*unique"):
        appending.write_partition(RANGES[1], records(RANGES[1], [{"k": 3}, {"k": 1}]))
    assert tables.run("SELECT k, text FROM keyed ORDER BY k") == [(1, "a"), (2, "b")]
    assert tables.names() == before
    assert (sink.idempotent, appending.idempotent) == (True, False)


def test_staged_rows_that_are_gone_are_noticed(tables: Tables) -> None:
    """A table that is gone, or has lost rows to a crash of its server, rolls all back and says what to look at."""
    sink = tables.sink()
    first, second = (tables.stage(sink, range_, [{"k": 1}]) for range_ in RANGES)
    tables.run(f"DELETE FROM {second.table}")
    with pytest.raises(BatchError, match=r"0 of 1 staged rows of t-1\[0,3\)"):
        tables.commit(sink, (RANGES[0], first), (RANGES[1], second))
    with pytest.raises(BatchError, match=r"t-1\[0,3\) are not in the offsets' database") as gone:
        tables.commit(sink, (RANGES[0], first), (RANGES[1], Staged("kds_staged_nowhere", 1)))
    assert "url" in gone.value.remedy
    assert tables.run("SELECT * FROM plain") == []


def test_garbage_is_what_earlier_batches_of_this_job_have_left(tables: Tables) -> None:
    """Earlier epochs, and earlier batches of this one; never this one, later ones, another job's or a user's table."""
    sink = tables.sink()
    tables.run("CREATE TABLE kds_staged_notes (k BIGINT)")
    places = [StagingPlace(0, *each) for each in ((2, 9), (3, 4), (3, 5), (3, 10), (10, 0))]
    staged = [tables.stage(sink, RANGES[0], [{"k": 1}], place).table for place in places]
    sink.collect_garbage(BatchPlace("cd" * 16, StagingPlace(0, 99, 0)))
    assert {*staged} <= tables.names()
    sink.collect_garbage(BatchPlace(APP, PLACE))
    assert {*staged} & tables.names() == {*staged[2:]}
    assert {"kds_staged_notes", "plain"} <= tables.names()


@LOCKS_EACH_TABLE
@pytest.mark.full
def test_garbage_that_somebody_reads_holds_no_driver_up(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup holds every table that it has seen: the driver waits a while for one, and goes on."""
    monkeypatch.setattr(sql, "SECONDS", 1.0)
    sink = tables.sink()
    staged = tables.stage(sink, RANGES[0], [{"k": 1}], StagingPlace(0, 2, 9)).table
    with tables.database.engine.begin() as reader:
        reader.exec_driver_sql(f"SELECT * FROM {staged}")
        ended: list[BaseException] = []

        def collect() -> None:
            with pytest.raises(UnavailableError) as late:
                sink.collect_garbage(BatchPlace(APP, PLACE))
            ended.append(late.value)

        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        thread.join(30)
        assert ended
    sink.collect_garbage(BatchPlace(APP, PLACE))
    assert staged not in tables.names()


@LOCKS_EACH_TABLE
@pytest.mark.full
def test_staged_rows_that_cannot_be_looked_at_now_are_not_taken_for_gone(tables: Tables) -> None:
    """Somebody has locked them: the transaction is ended as by anything that passes, and done again."""
    sink = tables.sink()
    staged = tables.stage(sink, RANGES[0], [{"k": 1}])
    with tables.database.engine.begin() as other:
        other.exec_driver_sql(f"LOCK TABLE {staged.table}")
        with tables.database.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '200ms'")
            with pytest.raises(OperationalError):
                sink.commit_batch(connection, None, [(RANGES[0], staged)])  # type: ignore[arg-type]
            connection.rollback()


def test_a_database_that_is_away_is_waited_for_by_the_next_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a mistake of the sink: exit 69, also as a task of it tells."""
    monkeypatch.setattr(sql, "SECONDS", 2.0)
    away = type("Sink", (Rows,), {"url": "postgresql://etl@127.0.0.1:1/shop", "transactional": False})()
    made = Sink("test:Sink.write_partition", away.write_partition, Declaration(False), away)
    monkeypatch.setattr(direct, "opened", lambda name: made)
    with pytest.raises(UnavailableError, match=r"postgresql://etl@127\.0\.0\.1:1/shop does not answer"):
        direct.write("test:Sink", RANGES[0], iter(records(RANGES[0], [{"k": 1}])))


WRONG_ATTRIBUTES: Mapping[str, dict[str, Any]] = {
    "url must name a database": {"url": "file:///nowhere"},
    "did you mean postgresql:": {"url": "postgres://etl@db/shop"},
    "must not hold a password": {"url": "postgresql://etl:secret@db/shop"},
    "must say its url": {"url": None},
    "append or upsert": {"mode": "replace"},
    "needs a key": {"mode": "upsert"},
    "and only that": {"key": ("k",)},
    "tuples of names": {"mode": "upsert", "key": "k"},
}


@pytest.mark.parametrize("told", WRONG_ATTRIBUTES)
def test_what_attributes_have_wrong_is_told_before_anything_is_connected_to(told: str) -> None:
    """When the sink is made, on the driver first; a password is never repeated."""
    attributes = {"url": "postgresql://etl@db/shop", **WRONG_ATTRIBUTES[told]}
    sink = type("Sink", (Rows,), {name: value for name, value in attributes.items() if value is not None})
    with pytest.raises(ValueError, match=told) as wrong:
        sink()
    assert "secret" not in str(wrong.value)


WRONG: Mapping[str, tuple[dict[str, Any], Any, str]] = {
    "no such table": ({"table": "plaim"}, {"k": 1}, "there is no table plaim .*did you mean plain"),
    "no such column": ({"columns": ("k", "test")}, {"k": 1}, "has no column test; did you mean text"),
    "row has another column": ({}, {"k": 1, "tekst": 1}, "'tekst' that is not written; did you mean text"),
    "row is no mapping": ({}, [1], "must return a mapping or None, not a list"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_names_the_nearest(tables: Tables, case: str) -> None:
    """Nothing stays staged of the range, and the message says what was meant perhaps."""
    attributes, row, told = WRONG[case]
    before = tables.names()
    with pytest.raises((ValueError, TypeError), match=told):
        tables.stage(tables.sink(**attributes), RANGES[0], [row])
    left = tables.names() - before
    assert not left or tables.url.startswith("sqlite")  # which stages in pieces; rule G takes what is left


def transaction(sink: object, monkeypatch: pytest.MonkeyPatch, seconds: float | None = None) -> SinkTransaction:
    """Of a sink that is made already, under the name test:Sink."""
    made = Sink("test:Sink.write_partition", print, Declaration(False, transactional=True), sink)
    monkeypatch.setattr(transactional, "opened", lambda name: made)
    return SinkTransaction("test:Sink", seconds)


class Driver:
    """One driver of a job whose register is in the same database."""

    def __init__(self, tables: Tables, folder: Path, sink: SqlSink, transaction: SinkTransaction) -> None:
        self.tables, self.sink, self.store = tables, sink, open_store(tables.url)
        self.manager = OffsetManager(self.store, current_owner("run"))
        if self.manager.read() is None:
            self.manager.create(APP, {"t": TopicState("id", {0: 0, 1: 0})})
        self.manager.take()
        lake = StagedFileSink(LocalFilesystem(f"{folder}/lake"))
        profile = PROFILES[EXACTLY_ONCE, TRANSACTIONAL]
        self.committer = Committer(self.manager, lake, profile=profile, transaction=transaction)

    def run(self, rows: Sequence[Mapping[str, Any]], before_commit: Any = None) -> None:
        """A batch of the next three offsets of both partitions, with these rows in each."""
        state = self.manager.state
        plan = Plan(tuple(next_of(range_, state.topics["t"].offsets) for range_ in RANGES), state.topics)
        batch = Batch(plan, StagingPlace(state.generation, state.epoch, state.seq), 1)

        def tasks() -> list[TaskResult]:
            staged = [(r, self.tables.stage(self.sink, r, rows, batch.place)) for r in reversed(plan.ranges)]
            if before_commit:
                before_commit()
            return [TaskResult(r, (), len(rows), 0, 0, value=value) for r, value in staged]

        self.committer.run(batch, tasks, Stopwatch())


def next_of(range_: OffsetRange, offsets: Mapping[int, int]) -> OffsetRange:
    start = offsets[range_.partition]
    return range_._replace(from_offset=start, until_offset=start + 3)


@pytest.fixture
def driver(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Driver]]:
    """`driver(**attributes of the sink)`: takes the register, from whom ever had it."""
    made: list[Driver] = []

    def make(**attributes: Any) -> Driver:
        sink = tables.sink(**attributes)
        made.append(Driver(tables, tmp_path, sink, transaction(sink, monkeypatch)))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def test_rows_and_offsets_are_there_together(tables: Tables, driver: Callable[..., Driver]) -> None:
    """Two batches: nothing pending in between, the rows of each, and no staged table afterwards."""
    one = driver()
    for k in (1, 2):
        one.run([{"k": k}])
        assert (one.manager.state.pending, one.manager.state.seq) == (None, k)
    assert tables.run("SELECT k FROM plain ORDER BY k") == [(1,), (1,), (2,), (2,)]
    assert [name for name in tables.names() if name.startswith("kds_staged")] == []


def test_a_fenced_driver_writes_no_row(tables: Tables, driver: Callable[..., Driver]) -> None:
    """Another one takes over while its tasks stage: its transaction ends before its rows, and the other's are there."""
    sleeper, other = driver(), driver()
    other.run([{"k": 2}])
    with pytest.raises(FencedError):
        sleeper.run([{"k": 1}])
    assert tables.run("SELECT k FROM plain") == [(2,), (2,)]


def test_a_commit_that_fails_leaves_both_as_they_were(tables: Tables, driver: Callable[..., Driver]) -> None:
    """A row that the table refuses: one line that says so, neither row nor offset, and the next launch goes on."""
    with pytest.raises(BatchError, match=r"(?i)Sink into keyed: .*unique"):
        driver(table="keyed").run([{"k": 1}])  # in both ranges
    after = driver(table="keyed", mode="upsert", key=("k",))
    assert (after.manager.state.pending, after.manager.state.seq) == (None, 0)
    assert tables.run("SELECT k FROM keyed") == []
    after.run([{"k": 1}])
    assert tables.run("SELECT k FROM keyed") == [(1,)]
    assert [name for name in tables.names() if name.startswith("kds_staged")] == []


def test_a_connection_that_breaks_within_costs_another_try(tables: Tables, driver: Callable[..., Driver]) -> None:
    """The database ends the transaction when its rows are in it: all of it is done again, and is there once."""
    tries: list[Connection] = []

    def commit_batch(sink: SqlSink, connection: Connection, *told: Any) -> None:
        SqlSink.commit_batch(sink, connection, *told)
        tries.append(connection)
        if len(tries) == 1:
            broken(connection)

    one = driver(commit_batch=commit_batch)
    one.run([{"k": 1}])
    assert len(tries) == 2
    assert tables.run("SELECT k FROM plain") == [(1,), (1,)]
    assert one.manager.state.seq == 1


def test_a_transaction_that_never_ends_well_is_given_up(tables: Tables, driver: Callable[..., Driver]) -> None:
    """Each try is ended by the database: after ten of them the run stops and says so; nothing has changed."""
    one = driver(commit_batch=lambda sink, connection, *told: broken(connection))
    with pytest.raises(BatchError, match=r"has ended the transaction of test:Sink\.commit_batch 10 times"):
        one.run([{"k": 1}])
    assert tables.run("SELECT k FROM plain") == []


def broken(connection: Connection) -> None:
    """Its server ends it; SQLite, which has none, says that somebody else is writing."""
    if connection.dialect.name == "sqlite":
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("database is locked"))
    connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


class Careless:
    """A sink whose commit_batch does what it must not."""

    def __init__(self, does: str) -> None:
        self._does = does

    def commit_batch(self, connection: Connection, batch: object, results: object) -> object:
        connection.exec_driver_sql("INSERT INTO plain VALUES (1, 'careless')")
        return getattr(self, self._does)(connection)

    def breaks(self, connection: Connection) -> None:
        raise LookupError("no way")

    def cancels(self, connection: Connection) -> None:
        raise asyncio.CancelledError

    def returns(self, connection: Connection) -> object:
        return (each for each in ())

    def commits(self, connection: Connection) -> None:
        connection.commit()

    def rolls_back(self, connection: Connection) -> None:
        connection.rollback()

    def hangs(self, connection: Connection) -> None:
        threading.Event().wait()

    def swallows(self, connection: Connection) -> None:
        with suppress(Exception):
            connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")


TOLD = {
    "breaks": "test:Sink.commit_batch raised LookupError: no way at ",
    "cancels": "test:Sink.commit_batch raised CancelledError:  at ",
    "returns": "test:Sink.commit_batch returned a generator, and must return nothing",
    "commits": "the transaction is not commit_batch's to end",
    "rolls_back": "the transaction is not commit_batch's to end",
    "hangs": "test:Sink.commit_batch was not done with its transaction within 0.5 s",
    "swallows": "current transaction is aborted",
}


@pytest.mark.parametrize("does", TOLD)
def test_what_commit_batch_does_wrong_ends_the_transaction(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """Whatever that is: one line that names it, and neither register nor table have changed."""
    if does == "swallows" and tables.url.startswith("sqlite"):
        does = "breaks"  # SQLite's transactions go on behind a statement that it has refused
    with closing(open_store(tables.url)) as store:
        assert isinstance(store, TransactionalStore)
        before = store.replace(None, b"before")
        work = transaction(Careless(does), monkeypatch, 0.5 if does == "hangs" else None).work(
            sink_batch(APP, Batch(Plan(RANGES, {}), PLACE, 1)), [TaskResult(r, (), 0, 0, 0) for r in RANGES]
        )
        with pytest.raises(BatchError) as wrong:
            store.replace_within(before, b"after", work)
        assert TOLD[does] in str(wrong.value)
        assert store.load() == before
    assert tables.run("SELECT * FROM plain") == []
