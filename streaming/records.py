"""What a user's function is given: one record of Kafka, under Kafka's own field names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Message(Protocol):
    """What is used of a confluent_kafka.Message that carries no error."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Sequence[tuple[str, bytes | None]] | None: ...


class Record(NamedTuple):
    """Immutable and picklable.  None and b"" differ: a null value is a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp: int  # ms since the Unix epoch, -1 if the record has none
    timestamp_type: int  # 0 none, 1 when it was made, 2 when the log took it (confluent_kafka.TIMESTAMP_*)
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def from_message(message: Message) -> Record:
    """Executor: the Record of a message."""
    kind, timestamp = message.timestamp()
    fields = (
        message.topic(),
        message.partition(),
        message.offset(),
        timestamp,
        kind,
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )
    return _new(Record, fields)


_new = tuple.__new__  # what Record(...) ends in, a third faster: this is paid for every record
