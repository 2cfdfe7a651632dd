"""The lines that the transactions producer makes: no Kafka, no clock."""

from __future__ import annotations

import io
import json
import re
import time
from collections import Counter

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, NotLeaderForPartitionError

from producers import kafka_python_delivery
from producers.delivery import LOOK_EVERY, DeliveryLog, Item, Pace, produce
from producers.kafka_python_delivery import KafkaPythonDelivery
from producers.transactions import ACCOUNTS, AMOUNTS, DAYS, DESCRIPTIONS, Line, fixed_lines, random_lines
from producers.transactions_command import Items, chosen_lines, parser

WELL_FORMED = re.compile(rb"\d+,\d\d/\d\d/\d{4},\d+,-?\d+\.\d\d,[A-Z ]+")


def test_same_seed_same_lines() -> None:
    """A seed stands for its lines; another seed has others."""
    assert list(random_lines(500, 7, 0.2)) == list(random_lines(500, 7, 0.2))
    assert list(random_lines(500, 7, 0.2)) != list(random_lines(500, 8, 0.2))


def test_fields() -> None:
    """Well-formed lines use the fixed accounts, amounts and descriptions; steps rise by one over four days at most."""
    rows = [line.value.decode().split(",") for line in random_lines(4000, 1)]
    assert [row[0] for row in rows] == [str(n) for n in range(1, 4001)]
    days = [row[1] for row in rows]
    assert days == sorted(days)
    assert len(set(days)) == DAYS == 4
    assert {row[2] for row in rows} == set(ACCOUNTS)
    assert {row[3] for row in rows} == set(AMOUNTS)
    assert {row[4] for row in rows} == set(DESCRIPTIONS)
    assert (len(ACCOUNTS), len(AMOUNTS), len(DESCRIPTIONS)) == (4, 8, 8)


def test_fixed_lines() -> None:
    """The fixed set is 100 well-formed lines, always the same, and uses every value."""
    lines = list(fixed_lines())
    assert lines == list(fixed_lines())
    assert len({line.value for line in lines}) == 100
    assert not any(line.malformed for line in lines)
    columns = list(zip(*(line.value.decode().split(",") for line in lines), strict=True))
    assert [len(set(column)) for column in columns] == [100, 4, 4, 8, 8]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_malformed_share(share: float) -> None:
    """About the share asked for is malformed, of every kind, and is marked as such; no other line is malformed."""
    lines = list(random_lines(10_000, 3, share))
    assert sum(line.malformed for line in lines) == pytest.approx(share * 10_000, abs=0.15 * share * 10_000 + 1)
    assert all(WELL_FORMED.fullmatch(line.value) for line in lines if not line.malformed)
    kinds = Counter(kind(line.value) for line in lines if line.malformed)
    assert set(kinds) == ({"field", "date", "amount", "empty", "garbage"} if share else set())


def kind(value: bytes) -> str:
    if not value:
        return "empty"
    if b"\xff" in value:
        return "garbage"
    if value.count(b",") == 3:
        return "field"
    return "date" if b"13/45/2026" in value else "amount" if b"12.3.4" in value else "well-formed"


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_impossible_share(share: float) -> None:
    """A share is between 0 and 1."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        next(random_lines(1, 1, share))


class Answer:
    """A record's future that is answered already: an offset or an error."""

    is_done = True

    def __init__(self, answer: int | Exception) -> None:
        self.exception = answer if isinstance(answer, Exception) else None
        self.value = self
        self.offset = answer

    def get(self, timeout: float) -> None:
        """Answered already."""

    def succeeded(self) -> bool:
        return self.exception is None


class FakeProducer:
    """Answers the records of one partition with the given offsets and errors, in turn."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)

    def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def send(self, topic: str, value: bytes, partition: int) -> Answer:
        return Answer(self.answers.pop(0))


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (MessageSizeTooLargeError(), "failed", 1),
        (NotLeaderForPartitionError(), "unknown", 69),
        (KafkaTimeoutError(), "unknown", 69),
    ],
)
def test_outcomes(error: Exception, outcome: str, status: int) -> None:
    """Only a broker's final refusal is a failure; without an answer a record may be in the topic."""
    log = io.BytesIO()
    items, producer = Items(), FakeProducer(5, error)
    counts = produce(
        KafkaPythonDelivery(producer, DeliveryLog("t", log), 30.0),  # type: ignore[arg-type]
        items.of([Line(b"a", False), Line(b"\xff", True)]),
    )
    first, second = map(json.loads, log.getvalue().splitlines())
    assert (first["outcome"], first["offset"], first["line"], first["malformed"]) == ("acknowledged", 5, "a", False)
    assert (second["outcome"], second["offset"], second["malformed"]) == (outcome, None, True)
    assert second["line"].encode("latin-1") == b"\xff"
    assert (counts.acknowledged, counts.total, counts.exit_status, items.malformed) == (1, 2, status, 1)


class SilentProducer(FakeProducer):
    """Never answers; counts what it was handed."""

    handed = 0

    def send(self, topic: str, value: bytes, partition: int) -> Answer:
        self.handed += 1
        silent = Answer(0)
        silent.is_done = False
        return silent


@pytest.mark.parametrize("stopped", [True, False])
def test_no_answer(monkeypatch: pytest.MonkeyPatch, stopped: bool) -> None:
    """Without an answer every record handed over is in the log as unknown, at the end of patience or after Ctrl-C."""
    monkeypatch.setattr(kafka_python_delivery, "FLUSH_SECONDS", 0.1)
    log, producer = io.BytesIO(), SilentProducer()
    patience = 60.0 if stopped else 0.1
    delivery = KafkaPythonDelivery(producer, DeliveryLog("t", log), patience)  # type: ignore[arg-type]
    counts = produce(delivery, Items().of(random_lines(50, 1)), lambda: stopped)
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {entry["outcome"] for entry in entries} == {"unknown"}
    assert len(entries) == counts.unknown == counts.total == producer.handed == (1 if stopped else 50)
    assert counts.error is not None


def test_wrong_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Impossible numbers are refused with their option's name, before any connection."""
    for wrong in ["--records", "0"], ["--malformed", "2"], ["--rate", "-1"], ["--partitions", "x"]:
        with pytest.raises(SystemExit) as caught:
            parser("").parse_args(wrong)
        assert caught.value.code == 2
        assert wrong[0] in capsys.readouterr().err


def test_chosen_lines() -> None:
    """--fixed and --records choose the lines."""
    assert list(chosen_lines(parser("").parse_args(["--records", "20", "--seed", "4"]))) == list(random_lines(20, 4))
    assert list(chosen_lines(parser("").parse_args(["--fixed"]))) == list(fixed_lines())


def test_pace() -> None:
    """A rate changes when items come, not which: the n-th no sooner than n / rate seconds after the first."""
    items = [Item(bytes([n])) for n in range(20)]
    began = time.monotonic()
    assert list(Pace(200, lambda: False)(items)) == items
    assert time.monotonic() - began >= 19 / 200
    assert list(Pace(None, lambda: False)(items)) == items


def test_pace_ends_when_stopped() -> None:
    """Ctrl-C does not wait for the next item's turn."""
    assert len(list(Pace(0.001, lambda: True)([Item(b"a"), Item(b"b")]))) == 1


def test_stops_at_a_refusal() -> None:
    """Nothing more is sent once a record is known to be refused."""
    refused = MessageSizeTooLargeError()
    delivery = KafkaPythonDelivery(FakeProducer(*[refused] * 2000), DeliveryLog("t"), 30.0)  # type: ignore[arg-type]
    counts = produce(delivery, [Item(b"a")] * 2000)
    assert (counts.failed, counts.error) == (LOOK_EVERY, "MessageSizeTooLargeError")
