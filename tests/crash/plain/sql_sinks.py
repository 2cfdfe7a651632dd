"""SQL sinks of the crash suite's jobs: a table of the database whose URL lies beside the job file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from offsets.structs import OffsetRange
from streaming.records import Record
from streaming.sinks.contracts import SinkBatch
from streaming.sinks.sql import SqlSink
from tests.crash.plain.sinks import PLACE

TABLE = "CREATE TABLE received (p integer, o bigint, key text, value text)"


class Rows(SqlSink):
    """Appended in the transaction that commits their offsets."""

    table = "received"

    def __init__(self) -> None:
        self.url = Path(os.environ[PLACE]).with_suffix(".url").read_text()
        super().__init__()

    def row(self, record: Record) -> Mapping[str, Any]:
        key, value = (None if text is None else text.decode() for text in (record.key, record.value))
        return {"p": record.partition, "o": record.offset, "key": key, "value": value}


class RowsAlone(Rows):
    """Appended in transactions of their own."""

    transactional = False


class RowsDie(Rows):
    """The same; while a file .signal lies beside the job file, gets that one with its rows in the open transaction."""

    def commit_batch(
        self, connection: Connection, batch: SinkBatch, results: Sequence[tuple[OffsetRange, Any]]
    ) -> None:
        super().commit_batch(connection, batch, results)
        marker = Path(os.environ[PLACE]).with_suffix(".signal")
        if marker.exists():
            number = int(marker.read_text())
            marker.unlink()
            os.kill(os.getpid(), number)
