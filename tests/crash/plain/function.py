"""The record function of the crash suite's jobs: all that there is to know of a record, in a folder by its offset."""

from __future__ import annotations

from typing import Any

from streaming.records import Record


def row(record: Record) -> dict[str, Any]:
    """Two folders, so that a range becomes several files."""
    return {
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else record.key.decode(),
        "value": None if record.value is None else record.value.decode(),
        "side": "odd" if record.offset % 2 else "even",
    }
