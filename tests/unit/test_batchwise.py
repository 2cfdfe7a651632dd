"""Batch-wise sinks on the driver: what they get, what must have been read, what is said when they fail.  No Spark."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from offsets.errors import BatchError, DataLossError
from offsets.filesystems import LocalFilesystem
from offsets.structs import Loss, OffsetRange
from streaming.custom_sinks import SinkBatch, each_batch, each_partition
from streaming.fetching.source import Client
from streaming.records import Record
from streaming.run import batchwise
from streaming.run.batchwise import BatchWriter
from streaming.sinks.contracts import BATCH, Declaration
from streaming.sinks.direct import Sink
from streaming.sinks.names import StagingPlace
from streaming.tasks.errors import crossing
from streaming.tasks.read import CountedRead, Counts
from streaming.tasks.write import Claims

RANGES = (OffsetRange("t", 0, 0, 10), OffsetRange("t", 1, 5, 9))
GIVEN = SinkBatch("a" * 32, 1, 2, 3, 4, RANGES)


class Accumulator:
    """As much of Spark's as is used."""

    def __init__(self, value: Any, param: Any) -> None:
        self.value, self._param = value, param

    def add(self, term: Any) -> None:
        self.value = self._param.addInPlace(self.value, term)


class Rdd:
    """The records of ranges, three each, read anew by every action.  Its context is itself."""

    def __init__(self, task: CountedRead | None = None) -> None:
        self._task, self.context, self.groups = task, self, []  # type: ignore[var-annotated]

    def accumulator(self, value: Any, param: Any) -> Accumulator:
        return Accumulator(value, param)

    def setJobGroup(self, group: str, description: str) -> None:
        self.groups.append(group)

    def cancelJobGroup(self, group: str) -> None:
        self.groups.append(f"cancelled {group}")

    def foreachPartition(self, function: Callable[[Iterator[Record]], object], ranges: Iterable[int] = (0, 1)) -> None:
        assert self._task
        for number in ranges:
            function(self._task([RANGES[number]]))

    def count(self) -> int:
        counts: list[int] = []
        self.foreachPartition(lambda records: counts.append(len(list(records))))
        return sum(counts)


@pytest.fixture
def rdd(monkeypatch: pytest.MonkeyPatch) -> Rdd:
    """What the sink is given is made of it; each range holds three records."""
    made = Rdd()

    def read_range(client: Client, range_: OffsetRange, timeout: float) -> Iterator[Sequence[Any]]:
        yield [SimpleNamespace(offset=lambda n=n: range_.from_offset + n) for n in range(3)]

    def records_of(_: Any, ranges: Sequence[OffsetRange], task: CountedRead) -> Rdd:
        assert tuple(ranges) == RANGES
        made._task = CountedRead(task.client, lambda message: message.offset(), task.claims, task.counts)  # type: ignore
        return made

    monkeypatch.setattr("streaming.direct.reading.read_range", read_range)
    monkeypatch.setattr("streaming.direct.reading._task", lambda: None)
    monkeypatch.setattr(batchwise, "records_of", records_of)
    monkeypatch.setattr(batchwise, "thread_of", lambda call: threading.Thread(target=call, daemon=True))
    return made


def writer(function: Callable[[SinkBatch, Any], Any], seconds: float | None = None) -> BatchWriter:
    return BatchWriter(Sink("own:sink", function, Declaration(True, per=BATCH), function), Client("c", {}), seconds)


def test_it_is_given_batch_and_records_and_its_ranges_are_counted(rdd: Rdd) -> None:
    """Once per range, however many actions have read it; nothing of the batch before counts."""
    seen: list[SinkBatch] = []

    def sink(batch: SinkBatch, records: Rdd) -> None:
        seen.append(batch)
        assert records.count() == records.count() == 6

    one = writer(sink)
    for _ in range(2):
        results = one.write(GIVEN, rdd, None)  # type: ignore[arg-type]
        assert [(r.range, r.records, r.written) for r in results] == [(range_, 3, 3) for range_ in RANGES]
    assert seen == [GIVEN, GIVEN]


READS = {
    "nothing": lambda batch, rdd: None,
    "one partition": lambda batch, rdd: rdd.foreachPartition(list, [0]),
    "not to the end": lambda batch, rdd: rdd.foreachPartition(next),
}


@pytest.mark.parametrize("what", READS)
def test_what_was_not_read_is_not_committed_as_written(rdd: Rdd, what: str) -> None:
    """Also in the second batch, after one that was read."""
    whole = True

    def sink(batch: SinkBatch, records: Rdd) -> None:
        records.count() if whole else READS[what](batch, records)

    one = writer(sink)
    one.write(GIVEN, rdd, None)  # type: ignore[arg-type]
    whole = False
    with pytest.raises(BatchError, match=r"own:sink returned before all records were read of .*t-1\[5,9\)"):
        one.write(GIVEN, rdd, None)  # type: ignore[arg-type]


def test_what_it_raises_is_told_with_its_line(rdd: Rdd) -> None:
    """The line of this file, not of ours."""

    def sink(batch: SinkBatch, records: Rdd) -> None:
        raise ValueError("no   room")

    with pytest.raises(BatchError) as raised:
        writer(sink).write(GIVEN, rdd, None)  # type: ignore[arg-type]
    line = sink.__code__.co_firstlineno + 1
    assert str(raised.value) == f"sink.class: own:sink raised ValueError: no room at {__file__}:{line}"


class Mute(Exception):
    """Cannot say what it is about."""

    def __str__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize("error", [Mute, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_it_raises_ends_the_batch_with_its_line(rdd: Rdd, error: type[BaseException]) -> None:
    """Also what is no Exception, which nobody above would take for an error of the batch."""

    def sink(batch: SinkBatch, records: Rdd) -> None:
        raise error()

    with pytest.raises(BatchError, match=rf"own:sink raised {error.__name__}: .*at {__file__}:"):
        writer(sink).write(GIVEN, rdd, None)  # type: ignore[arg-type]


def test_an_error_that_is_its_own_cause_is_told(rdd: Rdd) -> None:
    """`raise e from e` is a slip that Python allows."""
    error = ValueError("mine")
    error.__cause__ = error

    def sink(batch: SinkBatch, records: Rdd) -> None:
        raise error

    told: list[BatchError] = []

    def run() -> None:
        with pytest.raises(BatchError, match="own:sink raised ValueError: mine") as raised:
            writer(sink).write(GIVEN, rdd, None)  # type: ignore[arg-type]
        told.append(raised.value)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert told


def test_what_its_functions_raise_on_executors_is_told_with_their_line(rdd: Rdd) -> None:
    """Of Spark's page of Java and Python: the exception, and the last line that is in the sink's file."""

    def sink(batch: SinkBatch, records: Rdd) -> None:
        raise RuntimeError(
            "An error occurred while calling o1.collect.\n: org.apache.spark.SparkException: Job aborted\n"
            'Traceback (most recent call last):\n  File "/x/pyspark/worker.py", line 1, in main\n'
            f'  File "{__file__}", line 77, in put\n  File "/usr/lib/socket.py", line 3, in connect\n'
            "ConnectionRefusedError: [Errno 111] Connection refused\n\tat org.apache.spark.api\n"
        )

    with pytest.raises(BatchError) as raised:
        writer(sink).write(GIVEN, rdd, None)  # type: ignore[arg-type]
    told = f"own:sink: ConnectionRefusedError: [Errno 111] Connection refused at {__file__}:77, on an executor"
    assert str(raised.value) == f"sink.class: {told}"


@pytest.mark.parametrize("what", ["through", "wrapped", "swallowed"])
def test_what_its_tasks_have_met_with_kafka_is_told(rdd: Rdd, what: str) -> None:
    """Data loss is data loss, exit 3, also if the sink wraps it; if it is swallowed, the range was not read."""

    def sink(batch: SinkBatch, records: Rdd) -> None:
        try:
            with crossing():
                raise DataLossError([Loss("EXPIRED", "t", 0, 0, 5, 5)])
        except RuntimeError as e:
            if what == "wrapped":
                raise ValueError("mine") from e
            if what == "through":
                raise

    with pytest.raises(BatchError) as raised:
        writer(sink).write(GIVEN, rdd, None)  # type: ignore[arg-type]
    assert raised.value.exit_status == (1 if what == "swallowed" else 3)


def test_one_that_hangs_is_left_with_its_line(rdd: Rdd) -> None:
    """Its jobs are cancelled; that it ends later changes nothing."""
    over = threading.Event()

    def sink(batch: SinkBatch, records: Rdd) -> None:
        records.count()
        over.wait()

    with pytest.raises(
        BatchError, match=r"own:sink was not done with batch 3 within 0.2 s \(sink.timeout.ms\)"
    ) as hung:
        writer(sink, 0.2).write(GIVEN, rdd, None)  # type: ignore[arg-type]
    over.set()
    assert f"at {__file__}:{sink.__code__.co_firstlineno + 2}" in str(hung.value)
    assert rdd.groups == [GIVEN.id, f"cancelled {GIVEN.id}"]


def test_one_that_is_in_time_is_told_like_any_other(rdd: Rdd) -> None:
    """What it raises, or returns, comes out of its thread."""
    with pytest.raises(BatchError, match="returned a int, and must return nothing"):
        writer(lambda batch, records: records.count(), 60).write(GIVEN, rdd, None)  # type: ignore[arg-type]
    with pytest.raises(BatchError, match="ZeroDivisionError"):
        writer(lambda batch, records: 1 / 0, 60).write(GIVEN, rdd, None)  # type: ignore[arg-type]


def test_a_range_is_read_once_under_at_most_once(rdd: Rdd, tmp_path: Path) -> None:
    """A second action is a second attempt."""
    filesystem, place = LocalFilesystem(f"{tmp_path}/lake"), StagingPlace(0, 3, 7)
    filesystem.mkdirs(place.directory)

    def sink(batch: SinkBatch, records: Rdd) -> None:
        records.count()
        records.count()

    with pytest.raises(BatchError, match=r"second attempt of the task of t-0\[0,10\)"):
        writer(sink).write(GIVEN, rdd, Claims(filesystem, place))  # type: ignore[arg-type]


def test_a_function_is_given_a_range_once_under_at_most_once(rdd: Rdd, tmp_path: Path) -> None:
    """Also if the first attempt has ended before it had read a record: what it did by then is done."""
    filesystem, place = LocalFilesystem(f"{tmp_path}/lake"), StagingPlace(0, 3, 7)
    filesystem.mkdirs(place.directory)
    given: list[Iterator[Record]] = []

    def sink(batch: SinkBatch, records: Rdd) -> None:
        records.foreachPartition(given.append)
        records.foreachPartition(given.append)

    with pytest.raises(BatchError, match=r"second attempt of the task of t-0\[0,10\)"):
        writer(sink).write(GIVEN, rdd, Claims(filesystem, place))  # type: ignore[arg-type]
    assert len(given) == len(RANGES)


def test_counts_are_added_by_range() -> None:
    """The larger of two attempts: the smaller one was not read to its end, or Kafka had let records go."""
    counts = Counts()
    assert counts.zero({RANGES[0]: 1}) == {}
    assert counts.addInPlace({RANGES[0]: 3}, {RANGES[0]: 2, RANGES[1]: 1}) == {RANGES[0]: 3, RANGES[1]: 1}


def test_a_batch_is_known_by_its_ranges() -> None:
    """Whoever writes it again, in whatever order: the same id; of other ranges or another generation: another."""
    again = SinkBatch(GIVEN.app, 1, 9, 3, 99, RANGES[::-1])
    assert again.id == GIVEN.id
    others = [
        SinkBatch(GIVEN.app, 2, 2, 3, 4, RANGES),
        SinkBatch("b" * 32, 1, 2, 3, 4, RANGES),
        SinkBatch(GIVEN.app, 1, 2, 3, 4, RANGES[:1]),
        SinkBatch(GIVEN.app, 1, 2, 3, 4, (OffsetRange("t", 0, 0, 11), RANGES[1])),
    ]
    assert len({GIVEN.id, *(other.id for other in others)}) == 5


def test_a_decorated_function_stays_what_it_is() -> None:
    """Its own tests call it as before."""

    def write(range_: OffsetRange, records: Iterable[Record]) -> None: ...

    assert each_partition(idempotent=True)(write) is write
    assert each_batch(idempotent=False)(write) is write
