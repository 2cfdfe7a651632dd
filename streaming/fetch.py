"""Reads exactly one OffsetRange.  Runs on executors, in the task's own Python process; writes nothing, commits nothing.

A range ends by *position*: its last offsets may hold no record (compacted, aborted, control), so waiting for record
`until - 1`, or for a number of records, would hang for ever (SPARK-24720, SPARK-25005).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from offsets.errors import DataLossError, Loss, StreamError, UnavailableError
from offsets.failpoints import reach
from offsets.structs import OffsetRange
from streaming.client import open_consumer

CHUNK = 10_000
POLL_SECONDS = 0.1  # how long one look for records may block; bounds how late an end without a record is seen
ASK_SECONDS = 5.0


def read_range(client: Mapping[str, str], range_: OffsetRange, progress_timeout: float) -> Iterator[list[Message]]:
    """The range's committed records in order, in chunks of up to CHUNK; never an empty chunk, possibly none at all.

    Raises DataLossError when offsets of the range are no longer in the log, UnavailableError when the position has
    not moved for `progress_timeout` seconds, StreamError when reading is not allowed.  The consumer is kept for the
    next range of this process only if the whole range was read; after any failure the next attempt gets a new one.
    """
    raise NotImplementedError
