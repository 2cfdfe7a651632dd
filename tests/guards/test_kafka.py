"""What Kafka may do to a job, each through a whole launch against the real broker: what is read, and what stops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from servers.daemon import wait_for
from servers.kafka_server import Kafka
from streaming.fetching.source import CLIENTS, KAFKA_PYTHON, LIBRDKAFKA
from streaming.source import open_transactions
from tests.guards.logs import (
    ABORTED,
    COMMITTED,
    OPEN,
    created,
    last_stable,
    producer,
    readable,
    transaction,
    transactional,
)
from tests.guards.rehearsal import landed_by, launch, obeyed, show_offsets, stopped
from tests.integration.jobs import Job, Topics, once

Jobs = Callable[..., Job]


def all_readable(kafka: Kafka, topic: str, partitions: int) -> Counter[tuple[str, int, int]]:
    return Counter((topic, p, offset) for p in range(partitions) for offset in readable(kafka, topic, p))


# The other client in full.
EITHER_CLIENT = pytest.mark.parametrize("client", [LIBRDKAFKA, pytest.param(KAFKA_PYTHON, marks=pytest.mark.full)])


@EITHER_CLIENT
@pytest.mark.parametrize("most", [7, pytest.param(1000, marks=pytest.mark.full)])
def test_transactions_in_all_positions(kafka: Kafka, job: Jobs, client: str, most: int) -> None:
    """Aborted and control records at the beginning, in the middle, at the end and all over the range, and an open
    transaction behind it, in batches that cut through them: the committed ones land, each once (K2)."""
    topic = created(kafka, 5)
    layouts = [
        [ABORTED, COMMITTED],
        [COMMITTED, ABORTED, COMMITTED],
        [COMMITTED, ABORTED],
        [ABORTED],
        [COMMITTED, OPEN],
    ]
    writer = transactional(kafka)
    for partition, outcomes in enumerate(layouts):
        for outcome in outcomes:
            transaction(writer, topic, partition, 3, outcome)
    made = job(topic, source__client=client, source__maxOffsetsPerTrigger=str(most))
    wait_for(lambda: [last_stable(kafka, topic, p) for p in range(5)] == [8, 12, 8, 4, 4], 30, "all markers")
    landed_by(made)
    assert made.offsets(topic) == {0: 8, 1: 12, 2: 8, 3: 4, 4: 4}
    assert made.landed() == all_readable(kafka, topic, 5)
    assert {str(row["value"]).split()[0] for row in made.rows()} == {COMMITTED}
    assert landed_by(made).summary["exitReason"] == "nothing new"
    writer.abort_transaction(30)
    wait_for(lambda: last_stable(kafka, topic, 4) == 8, 30, "the last transaction to end")
    landed_by(made)
    assert made.offsets(topic)[4] == 8
    assert made.landed() == all_readable(kafka, topic, 5)


def test_a_range_without_a_record_is_committed(kafka: Kafka, job: Jobs) -> None:
    """All that is new was aborted: the offsets move past it, no file comes, and the next launch has nothing to do."""
    topic = created(kafka)
    made = job(topic)
    landed_by(made)
    transaction(transactional(kafka), topic, 0, 5, ABORTED)
    wait_for(lambda: last_stable(kafka, topic) == 6, 30, "the transaction to end")
    landed_by(made)
    assert made.offsets(topic) == {0: 6}
    assert not made.landed()
    assert landed_by(made).summary["exitReason"] == "nothing new"


def test_a_frozen_last_stable_offset(kafka: Kafka, job: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction stays open: what lies before it lands, nothing behind it is read or committed, and summary,
    show_offsets and, once it has not moved for a while, a warning say how much it holds back and since when (K3)."""
    topic = created(kafka)
    writer = transactional(kafka)
    transaction(writer, topic, 0, 3, COMMITTED)
    transaction(writer, topic, 0, 5, OPEN)
    transaction(transactional(kafka), topic, 0, 2, COMMITTED)
    made = job(topic)
    first = landed_by(made)
    assert made.offsets(topic) == {0: 4}
    found = first.summary["sources"][0]["openTransactions"][topic]["0"]
    assert (found["lastStableOffset"], found["lastStableOffsetLag"]) == (4, 8)
    assert not first.lines("WARNING")
    monkeypatch.setattr(open_transactions, "FROZEN_SECONDS", 0.0)
    second = landed_by(made)
    assert second.summary["exitReason"] == "nothing new"
    (line,) = second.lines("WARNING")
    told = f"{topic}-0: an open transaction holds back 8 records from offset 4 on, since {found['since']}"
    assert line.startswith(told)
    shown = show_offsets(made)
    assert shown["openTransactions"][topic]["0"] == found
    assert any(note.startswith(told) for note in shown["notes"])
    assert made.offsets(topic) == {0: 4}
    writer.commit_transaction(30)
    wait_for(lambda: last_stable(kafka, topic) == 13, 30, "the transaction to end")
    monkeypatch.setattr(open_transactions, "FROZEN_SECONDS", 60.0)
    third = landed_by(made)
    assert third.summary["sources"][0]["openTransactions"] == {}
    assert made.landed() == all_readable(kafka, topic, 1)
    assert show_offsets(made)["openTransactions"] == {}


@pytest.mark.full
@pytest.mark.parametrize("client", CLIENTS)
def test_compaction_between_plan_and_fetch(kafka: Kafka, job: Jobs, client: str) -> None:
    """Most of a planned range is compacted away before it is read, and its last offsets hold no record: what is left
    lands, the offsets reach the end of the plan, and a second job that plans later agrees (K1)."""
    settings = {"segment_ms": "200", "min_cleanable_dirty_ratio": "0.001", "max_compaction_lag_ms": "500"}
    topic = created(kafka, cleanup_policy="compact", **settings)
    writer = producer(kafka, linger_ms=0)

    def write(keys: int) -> None:
        for n in range(keys):
            writer.produce(topic, b"v", key=b"k%d" % n, partition=0)
        assert writer.flush(30) == 0

    for _ in range(5):
        write(4)
    transaction(transactional(kafka), topic, 0, 3, ABORTED)
    wait_for(lambda: last_stable(kafka, topic) == 24, 30, "the transaction to end")
    before = set(readable(kafka, topic))

    def compacted() -> bool:
        write(1)
        return min(readable(kafka, topic)) > 4

    made = job(topic, source__client=client)
    ended = launch(made, at={"plan.after": lambda: wait_for(compacted, 90, "the log to be compacted")})
    assert ended.status == 0, ended.said
    assert made.offsets(topic) == {0: 24}
    landed = {offset for _, _, offset in made.landed()}
    assert set(made.landed().values()) == {1}
    assert set(readable(kafka, topic)) & set(range(24)) <= landed <= before
    assert landed < before, "nothing was compacted away"
    landed_by(made)
    later = job(topic, name="later")
    landed_by(later)
    assert {o for _, _, o in later.landed()} <= {o for _, _, o in made.landed()}


def test_a_loss_is_seen_coming(kafka: Kafka, topics: Topics, job: Jobs) -> None:
    """Kafka deletes what was read, and nears what was not: from where a run has seen the log begin, and where it does
    now, show_offsets says how much time is left (K5)."""
    topic = created(kafka)
    topics.fill(topic, 100)
    made = job(topic)
    first = landed_by(made)
    assert first.summary["sources"][0]["earliestOffset"] == {topic: {"0": 0}}
    topics.fill(topic, 10)
    (row,) = show_offsets(made)["partitions"]
    assert (row["logStartOffset"], row["timeLeft"]) == (0, None)
    topics.truncate(topic, 0, 50)
    (row,) = show_offsets(made)["partitions"]
    assert (row["currentOffset"], row["logStartOffset"]) == (100, 50)
    assert 0 < row["timeLeft"] < 300, "as long as half of it took, since the run"
    topics.truncate(topic, 0, 101)
    assert show_offsets(made)["partitions"][0]["timeLeft"] == 0


@EITHER_CLIENT
@pytest.mark.parametrize("moment", ["plan.after", "fetch.first", "fetch.mid"])
def test_retention_overtakes_a_batch(kafka: Kafka, topics: Topics, job: Jobs, moment: str, client: str) -> None:
    """Records of a planned batch are deleted before they are read: 3, naming them, the register unchanged and nothing
    published; the printed command lands what is left, once (K6)."""
    topic = created(kafka)
    count = 12_000  # more than a chunk: something is left to be read at `fetch.mid`
    topics.fill(topic, count)
    made = job(topic, source__client=client)
    landed_by(made)
    topics.fill(topic, count)
    lost_until = 2 * count - 50
    ended = launch(made, at={moment: lambda: topics.truncate(topic, 0, lost_until)})
    if ended.status == 0 and moment != "plan.after":  # the client had fetched all of it ahead
        assert made.landed() == once(topic, {0: (0, 2 * count)})
        return
    assert ended.status == 3, ended.said
    (line,) = ended.lines("ERROR")
    assert f"EXPIRED {topic}-0 [{count},{lost_until})" in line
    assert made.offsets(topic) == {0: count}
    assert made.landed() == once(topic, {0: (0, count)})
    obeyed(made, line)
    assert made.landed() == once(topic, {0: (0, count)}) + once(topic, {0: (lost_until, 2 * count)})


class Killed(BaseException):
    """What a failpoint raises in place of a SIGKILL: nothing catches it."""


def kill() -> None:
    raise Killed


@pytest.mark.parametrize("prepared_by", ["prepare.after", "publish.before"])
def test_retention_overtakes_a_prepared_batch(kafka: Kafka, topics: Topics, job: Jobs, prepared_by: str) -> None:
    """A driver dies with a batch prepared, then its records and more are deleted: the batch stands and is published
    first; only what was never read stops the run (K6)."""
    topic = created(kafka)
    topics.fill(topic, 20)
    made = job(topic)
    with pytest.raises(Killed):
        launch(made, at={prepared_by: kill})
    assert made.register().pending is not None
    topics.fill(topic, 20)
    topics.truncate(topic, 0, 25)
    ended = launch(made)
    assert ended.status == 3, ended.said
    (line,) = ended.lines("ERROR")
    assert f"EXPIRED {topic}-0 [20,25)" in line
    assert made.offsets(topic) == {0: 20}
    assert made.landed() == once(topic, {0: (0, 20)})
    obeyed(made, line)
    assert made.landed() == once(topic, {0: (0, 20)}) + once(topic, {0: (25, 40)})


@pytest.mark.parametrize(
    ("moment", "refill", "kind"),
    [
        ("plan.after", 40, "REPLACED"),
        ("plan.after", 3, "REPLACED"),
        ("fetch.end", 40, "REPLACED"),
        ("fetch.end", None, "TOPIC_MISSING"),
    ],
)
def test_a_topic_replaced_in_mid_run(
    kafka: Kafka, topics: Topics, job: Jobs, moment: str, refill: int | None, kind: str
) -> None:
    """A topic is deleted, created again and filled, past our offsets or not, between plan and prepare: 3, and nothing
    of the batch is published (K7, K11)."""
    topic = created(kafka)
    topics.fill(topic, 10)
    made = job(topic)
    landed_by(made)
    topics.fill(topic, 10)

    def replace() -> None:
        topics.delete(topic)
        if refill is not None:
            topics.create(1, topic)
            topics.fill(topic, refill)

    line = stopped(made, 3, at={moment: replace})
    assert f"{kind} {topic} " in line
    assert made.offsets(topic) == {0: 10}
    if refill is not None:
        obeyed(made, line)
        assert made.landed() == once(topic, {0: (0, 10)}) + once(topic, {0: (0, refill)})


def test_partitions_added_in_mid_run(kafka: Kafka, topics: Topics, job: Jobs) -> None:
    """Partitions that come while a batch is read begin at their first record, in this run or the next (K10)."""
    topic = created(kafka, 1)
    topics.fill(topic, 5)
    made = job(topic)

    def grow() -> None:
        topics.grow(topic, 3)
        topics.fill(topic, 0, 4, 6)

    ended = launch(made, at={"fetch.first": grow})
    assert ended.status == 0, ended.said
    landed_by(made)
    assert made.landed() == once(topic, {0: (0, 5), 1: (0, 4), 2: (0, 6)})


@pytest.mark.parametrize("client", CLIENTS)
def test_null_is_not_empty(kafka: Kafka, job: Jobs, client: str) -> None:
    """A record without value, one with an empty value and one with both land as what they are (K13)."""
    topic = created(kafka)
    writer = producer(kafka)
    for key, value in ((b"k", None), (None, b""), (b"", b"v")):
        writer.produce(topic, value, key=key, partition=0)
    assert writer.flush(30) == 0
    made = job(topic, source__client=client, sink__format="parquet")
    landed_by(made)
    import pyarrow.parquet

    (file,) = made.lake.rglob("[!_]*.parquet")
    rows = pyarrow.parquet.read_table(file).to_pylist()
    assert [(row["key"], row["value"]) for row in rows] == [(b"k", None), (None, b""), (b"", b"v")]


@pytest.mark.parametrize("client", CLIENTS)
def test_records_of_5_mb(kafka: Kafka, job: Jobs, client: str) -> None:
    """Records far beyond a client's usual limits, between small ones, with no setting of the job's (K12)."""
    topic = created(kafka, max_message_bytes="6291456")
    writer = producer(kafka, message_max_bytes=6291456)
    lengths = [1, 5_000_000, 1, 5_000_000]
    for length in lengths:
        writer.produce(topic, b"x" * length, partition=0)
    assert writer.flush(60) == 0
    made = job(topic, source__client=client, source__maxOffsetsPerTrigger="3")
    landed_by(made)
    assert sorted(len(row["value"]) for row in made.rows()) == sorted(lengths)


@pytest.mark.full
@pytest.mark.parametrize("client", CLIENTS)
def test_a_damaged_batch_of_the_log(kafka: Kafka, topics: Topics, job: Jobs, client: str) -> None:
    """A byte of a segment flips while the broker is down: the run stops with topic, partition and offset, again and
    again; what lies before is not published alone and nothing is skipped (K15)."""
    topic = created(kafka)
    for n in range(3):
        writer = producer(kafka)
        writer.produce(topic, f"payload-{n}".encode(), partition=0)
        assert writer.flush(30) == 0
    made = job(topic, source__client=client, source__startingOffsets="earliest")
    kafka.broker.terminate()
    segment = kafka.folder / "data" / f"{topic}-0" / f"{0:020d}.log"
    with segment.open("r+b") as log:
        log.seek(log.read().index(b"payload-1"))
        log.write(b"P")
    kafka.broker.restart()
    for _ in range(2):
        ended = launch(made)
        assert ended.status == 1, ended.said
        (line,) = ended.lines("ERROR")
        assert f"{topic}-0[0,3) at offset 1" in line
        assert made.offsets(topic) == {0: 0}
        assert not made.landed()


POISON = (
    b"{}",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"a": 1e400}',
    b'{"a": NaN}',
    b'{"a": 1, "a": 2}',
    b'"\\ud800"',
    b"",
    b'{"a": "\\u0000"}',
    b"9" * 5_000,
)


def test_records_that_are_hard_to_take(kafka: Kafka, job: Jobs) -> None:
    """Text that is none, nesting without end, numbers out of range, doubled keys, lone surrogates: each is in the data
    or in the quarantine, once; and where records may not be bad, the first one is named and nothing lands (K14)."""
    topic = created(kafka)
    writer = producer(kafka)
    for value in POISON:
        writer.produce(topic, value, partition=0)
    assert writer.flush(30) == 0
    settings = {"job__function": "tests.guards.poison:parse"}
    line = stopped_at_first(job(topic, name="strict", **settings))
    assert f"bad record {topic}-0 offset 1" in line
    made = job(topic, job__badRecords="quarantine", **settings)
    ended = landed_by(made)
    rows = made.rows()
    assert sorted(row["offset"] for row in rows) == list(range(len(POISON)))
    kept, landed = [row for row in rows if "error" in row], [row for row in rows if "error" not in row]
    assert {0, 5, 8} <= {row["offset"] for row in landed}
    assert {1, 2, 7} <= {row["offset"] for row in kept}
    assert ended.summary["quarantinedRecords"] == len(kept)


def stopped_at_first(made: Job) -> str:
    """A first launch that fails, of which nothing is visible; its line."""
    ended = launch(made)
    assert ended.status == 1, ended.said
    (line,) = ended.lines("ERROR")
    assert set(made.offsets(made.settings["source.subscribe"]).values()) == {0}
    assert not made.landed()
    return line
