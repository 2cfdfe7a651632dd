"""Consumers that outlive a range.  Runs on executors: one process reads many ranges, and a new consumer is dear.

Decides only whether a consumer may be used again, never what is read with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from streaming.fetching.source import Client, Source, open_source

# One idle consumer for each client and set of properties of this process: 250 records take 3 ms on a kept one and 10 to
# 30 ms more on a new one with librdkafka, 18 and 130 ms with kafka-python.
_idle: dict[tuple[object, ...], Source] = {}


@contextmanager
def kept_source(client: Client, seconds: float) -> Iterator[Source]:
    """A source of this client: kept for the next block if this one ends without an error, else closed.

    `seconds`: how long a new one may wait for a broker.
    """
    key = (os.getpid(), client.name, *sorted(client.properties.items()))  # a forked child must not touch its parent's
    source = _idle.pop(key, None) or open_source(client, seconds)
    try:
        yield source
        source.pause()
    except BaseException:  # also GeneratorExit: records of a range that was given up may still be on their way
        source.close()
        raise
    if _idle.setdefault(key, source) is not source:
        source.close()
