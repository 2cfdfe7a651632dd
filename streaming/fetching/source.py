"""What a Kafka client must be able to do for a range to be read with it.  Decides nothing and imports no client.

Each client has a module of its own with a class `ClientSource`, imported on the executor that uses it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from offsets.errors import StreamError
from offsets.structs import TopicPartition
from streaming.records import Message

LIBRDKAFKA, KAFKA_PYTHON = "confluent-kafka", "kafka-python"
CLIENTS = {LIBRDKAFKA: "streaming.fetching.librdkafka", KAFKA_PYTHON: "streaming.fetching.kafka_python"}


@dataclass(frozen=True)
class Client:
    """Which client the executors read with, and the job's properties for it, under librdkafka's names."""

    name: str
    properties: Mapping[str, str] = field(repr=False)  # may hold secrets


class Unanswered(Exception):
    """The brokers do not answer now: nothing is known."""


class Forbidden(Exception):
    """The principal may not read the topic."""


class Unreadable(Exception):
    """A record, or its batch, that is damaged or that the client cannot read: asking again would not help.

    `position`: what was read well before it ends here; -1: where the caller is.
    """

    def __init__(self, why: str, position: int = -1) -> None:
        super().__init__(why)
        self.position = position


class Look(NamedTuple):
    """What one look for records brought."""

    records: Sequence[Message]  # of the partition, as the client gave them
    offsets: Sequence[int]  # of these records
    position: int  # the client has seen all that lies before it; -1: it does not say
    halted: bool = False  # the position is outside the log, and the client stands still until `start`


class Source(Protocol):
    """One consumer, which reads one partition at a time.  Used by one thread."""

    trouble: str  # the newest error that the client reported in passing, for messages

    def start(self, at: TopicPartition, offset: int) -> None:
        """From now on, this partition from this offset; nothing that was fetched for an earlier start is given."""
        ...

    def look(self, wanted: int, seconds: float) -> Look:
        """At most `wanted` records; blocks for at most `seconds`, and only while there is none.

        Raises Forbidden and Unreadable.  What may pass by itself (no leader, no connection) is an empty look.
        """
        ...

    def partitions(self, topic: str) -> Collection[int] | None:
        """As the brokers say now; None if there is no such topic.  Raises Unanswered and Forbidden."""
        ...

    def span(self, at: TopicPartition) -> tuple[int, int]:
        """Beginning and last stable offset, as the leader says now.  Raises Unanswered."""
        ...

    def pause(self) -> None:
        """Between two ranges: reads nothing ahead."""
        ...

    def close(self) -> None: ...


def open_source(client: Client, seconds: float) -> Source:
    """A new consumer.  Raises UnavailableError if this client must have a broker's answer for it and gets none."""
    try:
        module = import_module(CLIENTS[client.name])
    except ImportError as e:
        (other,) = CLIENTS.keys() - {client.name}
        raise StreamError(
            f"{client.name} cannot be imported where the tasks run: {e}",
            f"install it there, ship it with the job (--archives), or set [source] client = {other}",
        ) from e
    return cast(Source, module.ClientSource(client.properties, seconds))
