"""The fetch against a consumer that answers in the worst order librdkafka is known to answer in.  No broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition
from kafka.errors import NotLeaderForPartitionError

from offsets.errors import StreamError
from offsets.structs import OffsetRange
from streaming.fetching import kafka_python, kept, librdkafka
from streaming.fetching.ranges import read_range
from streaming.fetching.source import KAFKA_PYTHON, LIBRDKAFKA, Client


class Event(NamedTuple):
    """A record, as far as the fetch looks at it."""

    at: int
    of: tuple[str, int] = ("t", 0)

    def offset(self) -> int:
        return self.at

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self.of[0]

    def partition(self) -> int:
        return self.of[1]


class Scripted:
    """A consumer whose looks for records are answered in turn; `stale` is its position until the first of them."""

    def __init__(self, stale: int, *answers: list[Event]) -> None:
        self.now_at, self.answers = stale, list(answers)

    def assign(self, _: Any) -> None: ...
    def unassign(self) -> None: ...
    def close(self) -> None: ...
    def list_topics(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(topics={"t": None})

    def consume(self, count: int, timeout: float) -> list[Event]:
        if timeout:
            self.queue = self.answers.pop(0)
        taken, self.queue = self.queue[:count], self.queue[count:]
        if taken:
            self.now_at = -1001  # unknown
        return taken

    def position(self, _: Any) -> list[TopicPartition]:
        return [TopicPartition("t", 0, self.now_at)]


def offsets(monkeypatch: pytest.MonkeyPatch, consumer: Scripted, until: int) -> list[int]:
    monkeypatch.setattr(librdkafka, "open_consumer", lambda *_: consumer)
    monkeypatch.setattr(kept, "_idle", {})
    monkeypatch.setattr(librdkafka, "Message", Event)
    chunks = read_range(Client(LIBRDKAFKA, {}), OffsetRange("t", 0, 0, until), 30)
    return [event.offset() for chunk in chunks for event in chunk]


def test_position_of_an_earlier_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right after `assign` librdkafka still tells the position of the range before: it must not end this one."""
    consumer = Scripted(3, [], [Event(0), Event(1)], [Event(2)])
    assert offsets(monkeypatch, consumer, 3) == [0, 1, 2]


def test_event_of_an_earlier_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of another partition that was still queued is not taken for one of this range."""
    consumer = Scripted(-1001, [Event(2, ("t", 1))], [Event(0), Event(1), Event(2)])
    assert offsets(monkeypatch, consumer, 3) == [0, 1, 2]


@pytest.mark.parametrize("order", [[0, 2, 1], [0, 0, 1], [1, 0]])
def test_out_of_order(monkeypatch: pytest.MonkeyPatch, order: list[int]) -> None:
    """Records that come twice or out of order fail the range: they are never written."""
    with pytest.raises(StreamError, match="out of order"):
        offsets(monkeypatch, Scripted(-1001, [Event(n) for n in order]), 3)


class LeaderMoves:
    """A consumer of kafka-python that gives two records a poll, and cannot tell its position after the first."""

    def __init__(self) -> None:
        self.now_at, self.trouble = 0, True

    def assign(self, _: Any) -> None: ...
    def seek(self, _: Any, offset: int) -> None:
        self.now_at = offset

    def poll(self, timeout_ms: int, wanted: int = 0) -> dict[Any, Any]:
        self.now_at, first = self.now_at + wanted and self.now_at + 2, self.now_at
        return {("t", 0): [SimpleNamespace(offset=first), SimpleNamespace(offset=first + 1)]}

    def position(self, _: Any, timeout_ms: int) -> int:
        if self.trouble:
            self.trouble = False
            raise NotLeaderForPartitionError
        return self.now_at


def test_records_survive_a_position_that_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """kafka-python asks a new leader for more than the position; what was polled before must not get lost by that."""
    monkeypatch.setattr(kafka_python, "_opened", lambda *_: LeaderMoves())
    monkeypatch.setattr(kept, "_idle", {})
    client = Client(KAFKA_PYTHON, {"bootstrap.servers": "b:1"})
    chunks = read_range(client, OffsetRange("t", 0, 0, 6), 30)
    assert [message.offset() for chunk in chunks for message in chunk] == [0, 1, 2, 3, 4, 5]
