"""Record functions of the crash tests' jobs; lies beside their job files, so every launch ships it to its workers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from streaming.jobs.transactions import parse_line
from streaming.records import Record


def row(record: Record) -> dict[str, Any]:
    """A transaction as a dict; a malformed line is a bad record."""
    id_ = f"{record.topic}-{record.partition}-{record.offset}"
    parsed = parse_line(id_, (record.value or b"").decode())
    return {
        "id": id_,
        "account": parsed.account_number,
        "amount": float(parsed.amount),
        "when": datetime(*parsed.date.timetuple()[:3], record.offset % 24).isoformat(),
        "branch": parsed.account_number[-1],
    }


def line(record: Record) -> str:
    """The same as one line of text."""
    return json.dumps(row(record))
