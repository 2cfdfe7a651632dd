"""The record function of a job over records that are hard to take."""

from __future__ import annotations

import json
from typing import Any

from streaming.records import Record


def parse(record: Record) -> dict[str, Any]:
    """The record's JSON beside its offset."""
    return {"offset": record.offset, "data": json.loads(record.value or b"")}
