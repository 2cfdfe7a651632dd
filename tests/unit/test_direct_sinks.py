"""Direct sinks: what they declare, how they are loaded and called, and how a second attempt is refused.  No servers."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from offsets.errors import BatchError, ConfigError, DataLossError, Loss
from offsets.filesystems import LocalFilesystem
from offsets.structs import GUARANTEES, OffsetRange
from streaming.config.reading import load
from streaming.fetching.source import Client
from streaming.records import Record
from streaming.sinks import direct
from streaming.sinks.alarm import Alarm
from streaming.sinks.direct import Declaration, declaration, refusal
from streaming.sinks.names import StagingPlace
from streaming.spark.shipping import beside, check_user_code
from streaming.tasks import write
from streaming.tasks.write import Claims, WriteTask
from tests.unit import job_file

RANGE = OffsetRange("orders", 0, 5, 9)
RECORDS = [Record("orders", 0, offset, 0, 1, None, b"%d" % offset, ()) for offset in (5, 6, 8)]
number = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """`module(code)` gives the name of a module with this code."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(code: str) -> str:
        name = f"direct_sink_{next(number)}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield make
    direct.opened.cache_clear()


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("idempotent", [True, False])
def test_what_a_sink_declares_decides_which_guarantees_it_may_have(guarantee: str, idempotent: bool) -> None:
    """Exactly-once takes only what is idempotent, and names the two ways out; the weaker ones take any sink."""
    why = refusal(guarantee, Declaration(idempotent), "file:///s")
    if guarantee != "exactly-once" or idempotent:
        assert why is None
    else:
        assert why is not None
        assert all(word in why for word in ("idempotent = True", "at-least-once", "at-most-once"))


TRANSACTION = Declaration(idempotent=False, transactional=True)
REFUSED = {
    ("exactly-once", "postgresql://u@h/db", TRANSACTION): None,
    ("exactly-once", "sqlite:////var/db", TRANSACTION): None,
    ("exactly-once", "zookeeper://z/a", TRANSACTION): "the offsets are in zookeeper:, which cannot share a transaction",
    ("at-least-once", "sqlite:////var/db", TRANSACTION): "exactly-once costs no more",
    ("at-most-once", "sqlite:////var/db", TRANSACTION): "exactly-once costs no more",
    ("exactly-once", "sqlite:////var/db", TRANSACTION._replace(per="batch")): "write_partition and commit_batch",
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_transaction_with_the_offsets_needs_a_database_and_exactly_once(case: tuple[str, str, Declaration]) -> None:
    """It is refused where the store can share none, where nothing is gained, and for whole batches; with the reason."""
    guarantee, store, declared = case
    why, told = refusal(guarantee, declared, store), REFUSED[case]
    assert (why is None) == (told is None)
    assert told is None or told in str(why)


def test_a_class_says_what_it_is(module: Callable[[str], str]) -> None:
    """`idempotent` and `transactional` are read from an instance; `transactional` may be left out."""
    name = module(
        "class Plain:\n    idempotent = False\n    def write_partition(self, range_, records): ...\n"
        "class Whole(Plain):\n    def __init__(self):\n        self.idempotent = self.transactional = True\n"
        "    def commit_batch(self, connection, batch, results): ...\n"
    )
    assert declaration(f"{name}:Plain") == (False, False, "partition")
    assert declaration(f"{name}:Whole") == (True, True, "partition")


METHOD = "    def write_partition(self, range_, records): ...\n"
PARTITIONS = "from streaming.custom_sinks import each_batch, each_partition\n@each_partition(idempotent=True)\n"
WHOLE = f"class S:\n    transactional = True\n{METHOD}    def commit_batch"
WRONG = {
    f"class S:\n    transactional = True\n{METHOD}": "S.commit_batch is missing; it is called with (conn",
    f"{WHOLE}(self, connection, batch): ...": "S.commit_batch too many positional arguments",
    f"{WHOLE}(self, connection, batch, results):\n        yield": "S.commit_batch has a yield",
    f"{PARTITIONS}def S(range_, records): yield": "has a yield, so nothing of it would run, at ",
    f"{PARTITIONS}async def S(range_, records): ...": "is async, so nothing of it would run, at ",
    f"{PARTITIONS}def S(records): ...": "too many positional arguments; it is called with (offset_range, records)",
    "from streaming.custom_sinks import each_batch\n@each_batch(idempotent=True)\ndef S(rdd): ...": "(batch, rdd)",
    "from streaming.custom_sinks import each_batch\n@each_batch\ndef S(batch, rdd): ...": "positional argument",
    "from streaming.custom_sinks import each_batch\n@each_batch(idempotent=1)\ndef S(batch, rdd): ...": "it is 1",
    f"class S:\n    idempotent = True\n{METHOD}    def write_batch(self, batch, rdd): ...\n": "has both",
    "def S(): ...": "is no class, and no function decorated by each_partition or each_batch",
    "S = 1": "is not callable",
    "T = 1": "has no attribute 'S'",
    "import nowhere_to_be_found": "No module named 'nowhere_to_be_found'",
    "class S:\n    idempotent = True": "no method write_partition",
    f"class S:\n{METHOD}": "must declare idempotent = True or False",
    f"class S:\n    idempotent = 'yes'\n{METHOD}": "must declare idempotent = True or False, it is 'yes'",
    f"class S:\n    idempotent, transactional = True, None\n{METHOD}": "must declare transactional",
    f"class S:\n    idempotent = True\n    def __init__(self, url): ...\n{METHOD}": "missing 1 required",
    f"class S:\n    idempotent = True\n    def __init__(self):\n        1 / 0\n{METHOD}": "ZeroDivisionError: div",
}


@pytest.mark.parametrize("code", WRONG)
def test_what_is_no_direct_sink_is_refused_with_the_reason(module: Callable[[str], str], code: str) -> None:
    """A ConfigError names setting and value, says what is wrong, and at which line if it was the sink that raised."""
    name = module(code)
    with pytest.raises(ConfigError) as refused:
        declaration(f"{name}:S")
    assert f"sink.class = {name}:S" in str(refused.value)
    assert WRONG[code] in str(refused.value)
    assert "ZeroDivision" not in str(refused.value) or f"{name}.py:4" in str(refused.value)


SINK = """
class S:
    idempotent = True
    made = []
    def __init__(self):
        self.made.append(self)
    def write_partition(self, range_, records):
        self.given = range_, list(records)
"""


def test_a_sink_is_made_once_and_given_range_and_records(module: Callable[[str], str]) -> None:
    """Two ranges in one process: one instance, which gets the very ranges and Records."""
    name = module(SINK)
    for range_ in (RANGE._replace(partition=1), RANGE):
        direct.write(f"{name}:S", range_, iter(RECORDS))
    (made,) = sys.modules[name].S.made
    assert made.given == (RANGE, RECORDS)


def test_a_sink_that_raises_is_named_with_its_line(module: Callable[[str], str]) -> None:
    """The BatchError names class and method, what was raised, and file and line of the user's, not ours."""
    name = module(
        "class S:\n    idempotent = True\n    def write_partition(self, range_, records):\n"
        "        for record in records:\n            self.put(record)\n"
        "    def put(self, record):\n        raise ValueError('no   room')\n"
    )
    with pytest.raises(BatchError) as raised:
        direct.write(f"{name}:S", RANGE, iter(RECORDS))
    told = f"sink.class: {name}:S.write_partition raised ValueError: no room at {sys.modules[name].__file__}:7"
    assert str(raised.value) == told


ODD = {
    "Mute": "class Mute(Exception):\n    def __str__(self):\n        raise LookupError('no words')\n",
    "CancelledError": "from asyncio import CancelledError\n",
    "KeyboardInterrupt": "",
    "SystemExit": "",
}


@pytest.mark.parametrize("error", ODD)
def test_whatever_a_sink_raises_is_told_with_its_line(module: Callable[[str], str], error: str) -> None:
    """Also what is no Exception, or cannot say what it is about."""
    name = module(
        f"{ODD[error]}class S:\n    idempotent = True\n    def write_partition(self, range_, records):\n"
        f"        raise {error}()\n"
    )
    with pytest.raises(BatchError, match=rf"{name}:S.write_partition raised {error}: .*at .*{name}.py:\d"):
        direct.write(f"{name}:S", RANGE, iter(RECORDS))


@pytest.mark.parametrize("body", ["return", "next(iter(records))", "for _ in zip(range(2), records): pass"])
def test_a_sink_that_does_not_read_on_fails_the_batch(module: Callable[[str], str], body: str) -> None:
    """Records that it never saw must not be committed as written."""
    name = module(f"class S:\n    idempotent = True\n    def write_partition(self, range_, records):\n        {body}\n")
    with pytest.raises(BatchError, match=r"S.write_partition returned before .* orders-0\[5,9\)"):
        direct.write(f"{name}:S", RANGE, iter(RECORDS))


HANGS = """
import time
from streaming.custom_sinks import each_partition

def wait():
    time.sleep(300)

@each_partition(idempotent=True)
def write(offset_range, records):
    for record in records:
        try:
            wait()
        {clause}
            {then}
"""


@pytest.mark.parametrize("clause", ["except Exception:", "except BaseException:", "finally:"])
@pytest.mark.parametrize("then", ["pass", "raise ValueError('mine')"])
def test_a_sink_that_hangs_is_named_with_its_line(module: Callable[[str], str], clause: str, then: str) -> None:
    """The line in its file that is at work, whatever the sink makes of being interrupted there."""
    name = module(HANGS.format(clause=clause, then=then))
    with pytest.raises(BatchError) as raised:
        direct.write(f"{name}:write", RANGE, iter(RECORDS), Alarm(0.05))
    told = f"sink.class: {name}:write was not done with orders-0[5,9) within 0.05 s (sink.timeout.ms): it was at "
    assert str(raised.value) == f"{told}{sys.modules[name].__file__}:6"


@pytest.mark.parametrize("code", ["class S:\n    def __init__(self):\n        {}", "def f():\n    pass\n{}"])
def test_a_sink_that_hangs_while_it_is_made_is_named_with_its_line(module: Callable[[str], str], code: str) -> None:
    """On the driver before anything is connected to, and in a task; also if it is its module that hangs."""
    name = module("import time\n" + code.format("time.sleep(300)"))
    place = f"{Path(sys.path[0]) / name}.py:4"
    with pytest.raises(ConfigError, match=rf"{name}:S: was not made within 0.05 s .*: it was at {place}"):
        declaration(f"{name}:S", Alarm(0.05))
    with pytest.raises(BatchError, match=rf"{name}:S was not done with orders-0.* within 0.05 s .*: it was at {place}"):
        direct.write(f"{name}:S", RANGE, iter(RECORDS), Alarm(0.05))


@pytest.mark.parametrize(
    ("value", "told"),
    [("('staged', 5)", ""), ("__import__('threading').Lock()", "lock"), ("(r for r in ())", "generator")],
)
def test_what_a_transactional_sink_returns_must_pickle(module: Callable[[str], str], value: str, told: str) -> None:
    """It goes to the driver as it is; what cannot is told with its type, and where the method begins."""
    name = module(
        "class S:\n    transactional = True\n    def commit_batch(self, connection, batch, results): ...\n"
        f"    def write_partition(self, range_, records):\n        list(records)\n        return {value}\n"
    )
    if not told:
        assert direct.write(f"{name}:S", RANGE, iter(RECORDS)) == ("staged", 5)
        return
    with pytest.raises(BatchError, match=rf"returned a {told} that cannot be pickled .* it lies at .*{name}.py:4"):
        direct.write(f"{name}:S", RANGE, iter(RECORDS))


@pytest.mark.parametrize("value", ["5", "(r for r in records)", "[]"])
def test_what_a_sink_returns_is_refused(module: Callable[[str], str], value: str) -> None:
    """Nobody would look at it; of a generator nothing has run yet.  Where the function begins is told."""
    name = module(
        "from streaming.custom_sinks import each_partition\n@each_partition(idempotent=True)\n"
        f"def write(offset_range, records):\n    return {value}\n"
    )
    with pytest.raises(BatchError, match=rf"{name}:write returned a \w+, and must return nothing") as raised:
        direct.write(f"{name}:write", RANGE, iter(RECORDS))
    assert f"{sys.modules[name].__file__}:2" in str(raised.value)
    assert ("nothing of it has run" in str(raised.value)) == ("for r" in value)


@pytest.mark.parametrize("then", ["raise RuntimeError('mine') from e", "return"])
def test_an_error_of_the_fetch_is_told_whatever_the_sink_makes_of_it(module: Callable[[str], str], then: str) -> None:
    """Data loss in the middle of a range is data loss, also if the sink swallows or wraps it."""
    name = module(
        "class S:\n    idempotent = True\n    def write_partition(self, range_, records):\n"
        f"        try:\n            list(records)\n        except Exception as e:\n            {then}\n"
    )

    def broken() -> Iterator[Record]:
        yield RECORDS[0]
        raise DataLossError([Loss("EXPIRED", "orders", 0, 6, 9, 9)])

    with pytest.raises(DataLossError):
        direct.write(f"{name}:S", RANGE, broken())


def test_a_missing_package_is_the_executors(module: Callable[[str], str]) -> None:
    """An ImportError in the sink goes through as one: it is told with how to bring packages to executors."""
    name = module(
        "class S:\n    idempotent = True\n    def write_partition(self, range_, records):\n        import nowhere\n"
    )
    with pytest.raises(ImportError):
        direct.write(f"{name}:S", RANGE, iter(RECORDS))


class Message:
    """As much of a Kafka message as a Record is made of."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Callable[[], object]:
        return lambda: (1, 0) if name == "timestamp" else getattr(self._record, name)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every range holds RECORDS, in two chunks."""

    def read_range(*_: object) -> Iterable[Sequence[Message]]:
        yield from ([Message(r) for r in RECORDS[:2]], [Message(r) for r in RECORDS[2:]])

    monkeypatch.setattr(write, "read_range", read_range)


@pytest.mark.usefixtures("fetched")
def test_a_task_counts_what_it_gave_to_the_sink(module: Callable[[str], str]) -> None:
    """Three records in a range of four offsets; no files; the time is split into fetching and writing."""
    name = module(SINK)
    (result,) = WriteTask(Client("c", {}), f"{name}:S", None)([RANGE])
    assert (result.range, result.records, result.written, result.files) == (RANGE, 3, 3, ())
    assert set(result.times) == {"fetch", "write"}
    assert sys.modules[name].S.made[0].given == (RANGE, RECORDS)


@pytest.mark.usefixtures("fetched")
@pytest.mark.parametrize("collected", [False, True])
def test_a_second_attempt_writes_nothing(module: Callable[[str], str], tmp_path: Path, collected: bool) -> None:
    """Whatever brings it about: also after the batch's folder was collected.  Other ranges are not held up."""
    name = module(SINK)
    filesystem, place = LocalFilesystem(f"{tmp_path}/lake"), StagingPlace(0, 3, 7)
    task = WriteTask(Client("c", {}), f"{name}:S", Claims(filesystem, place))
    filesystem.mkdirs(place.directory)
    assert [r.records for r in task([RANGE, RANGE._replace(partition=1)])] == [3, 3]
    sink = sys.modules[name].S.made[0]
    sink.given = None
    if collected:
        filesystem.delete(place.directory, recursive=True)
    with pytest.raises(Exception, match=r"second attempt of the task of orders-0\[5,9\) was refused"):
        list(task([RANGE]))
    assert sink.given is None


def test_the_class_is_shipped_like_a_function(tmp_path: Path) -> None:
    """A module of it that lies beside the job file is found by the same name."""
    (tmp_path / "own.py").touch()
    assert beside("own:Sink", tmp_path) == tmp_path / "own.py"


def test_a_job_whose_sink_declares_too_little_is_refused(module: Callable[[str], str]) -> None:
    """With exit 2 before any connection: exactly-once of a sink that is not idempotent, and a class that is none."""
    name = module(f"class S:\n    idempotent = False\n{METHOD}T = 5\n")
    job = job_file.JOB.format(folder="/a")
    for setting, told in ((f"sink.class={name}:S", "idempotent = False"), (f"sink.class={name}:T", "is not callable")):
        with pytest.raises(ConfigError, match=told) as refused:
            check_user_code(load("job.cfg", job, [setting], {}))
        assert refused.value.exit_status == 2
    check_user_code(load("job.cfg", job, [f"sink.class={name}:S", "job.delivery.guarantee=at-least-once"], {}))
