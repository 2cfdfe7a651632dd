"""The record function of the soak's job; lies beside its job file, so every launch ships it to its workers."""

from __future__ import annotations

import json
import time
from typing import Any

from streaming.records import Record

EVERY, SECONDS = 50, 0.03  # a pause after so many records: a batch lasts long enough to be struck


def slow(record: Record) -> dict[str, Any]:
    """The same, with the pauses."""
    if record.offset % EVERY == 0:
        time.sleep(SECONDS)
    return row(record)


def row(record: Record) -> dict[str, Any]:
    """Where the record lay, and its number in the producer's sequence (producers/sequence.py)."""
    headers = dict(record.headers)
    value = {"number": int(headers["number"] or b"")} if record.value is None else json.loads(record.value)
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "number": value["number"],
        "aborted": value.get("aborted", False),
    }
