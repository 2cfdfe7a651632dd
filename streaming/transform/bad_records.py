"""What becomes of records that the function, the layout or the format cannot take: fail, quarantine or skip."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

from offsets.errors import BadRecordError
from streaming.formats import BadItemError
from streaming.formats.lines import JsonFormat, dumped_lines
from streaming.records import Record
from streaming.sinks.names import quarantine_of
from streaming.sinks.staging import Block

FAIL, QUARANTINE, SKIP = POLICIES = ("fail", "quarantine", "skip")
REMEDY = (
    "correct the function, or let it return Routed(folder, row, bad=True) for such records; then launch again; "
    "or set job.badRecords = quarantine"
)


class BadRecord(NamedTuple):
    """A record and why it is in no data file."""

    record: Record
    error: str

    def __str__(self) -> str:
        return f"{self.record.topic}-{self.record.partition} offset {self.record.offset}: {self.error}"


class Rejected:
    """A task's bad records.  With `fail` the first one ends the task."""

    def __init__(self, policy: str) -> None:
        self._policy = policy
        self._waiting: list[BadRecord] = []  # for the quarantine
        self.count = 0
        self.first = ""

    def __call__(self, record: Record, error: str, cause: BaseException | None) -> None:
        """Raises BadRecordError where that is the job's wish."""
        if self._policy == FAIL:
            remedy = cause.remedy if isinstance(cause, BadItemError) else REMEDY
            raise BadRecordError(record.topic, record.partition, record.offset, error, remedy) from cause
        bad = BadRecord(record, error)
        self.count += 1
        self.first = self.first or str(bad)
        if self._policy == QUARANTINE:
            self._waiting.append(bad)

    def blocks(self) -> dict[str, Block]:
        """Those that no block was made of yet, for their directory in the quarantine."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return {}
        directory = quarantine_of(waiting[0].record.topic)
        return {directory: Block(quarantined(waiting), len(waiting), JsonFormat(), bad=len(waiting))}


def quarantined(bad: Sequence[BadRecord]) -> bytes:
    """Lines of JSON that keep every byte of the records, in base64, and show them as text where they are UTF-8."""
    return dumped_lines([_as_object(each) for each in sorted(bad, key=lambda b: b.record.offset)])


def _as_object(bad: BadRecord) -> dict[str, Any]:
    record = bad.record
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "error": bad.error.encode("utf-8", "backslashreplace").decode(),
        "key": _base64(record.key),
        "keyText": _text(record.key),
        "value": _base64(record.value),
        "valueText": _text(record.value),
        "headers": [{"key": k, "value": _base64(v), "valueText": _text(v)} for k, v in record.headers],
    }


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None
