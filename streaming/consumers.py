"""Consumers that outlive a range.  Runs on executors: one process reads many ranges, and a new consumer is dear.

Decides only whether a consumer may be used again, never what is read with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from confluent_kafka import Consumer, KafkaError, KafkaException

from streaming.client import open_consumer
from streaming.logends import ASK_SECONDS


class Source:
    """A consumer, and the newest error that librdkafka reported beside the records."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self.error: KafkaError | None = None
        self._known: set[str] = set()
        self.consumer: Consumer = open_consumer(client, self._noted)

    def meet(self, topic: str) -> None:
        """Asks for the topic's leaders: left to itself, librdkafka takes a second to see a topic that is new to it."""
        if topic not in self._known:
            with suppress(KafkaException):  # the broker may be away for now; the assignment waits for it
                self.consumer.list_topics(topic, timeout=ASK_SECONDS)
                self._known.add(topic)

    def _noted(self, error: KafkaError) -> None:
        self.error = error


# One idle consumer for each set of properties of this process: `assign` on a kept one takes 3 ms, a new one 10 to 30.
_idle: dict[tuple[object, ...], Source] = {}


@contextmanager
def kept_source(client: Mapping[str, str]) -> Iterator[Source]:
    """A source with these properties: kept for the next block if this one ends without an error, else closed."""
    key = (os.getpid(), *sorted(client.items()))  # a forked child must not touch its parent's
    source = _idle.pop(key, None) or Source(client)
    try:
        yield source
        source.consumer.unassign()
    except BaseException:  # also GeneratorExit: records of a range that was given up may still be on their way
        source.consumer.close()
        raise
    if _idle.setdefault(key, source) is not source:
        source.consumer.close()
