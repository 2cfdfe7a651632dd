"""What a chunk function is given: some hundreds of records of one partition at once, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streaming.records import Message, Record, from_message

if TYPE_CHECKING:
    import pyarrow as pa


class Chunk:
    """Each column is made when it is asked for, by one call in C for all records: ask once and keep it."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._kind: Any = type(messages[0])

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def topic(self) -> str:
        return self._messages[0].topic()

    @property
    def partition(self) -> int:
        return self._messages[0].partition()

    @property
    def values(self) -> list[bytes | None]:
        return list(map(self._kind.value, self._messages))

    @property
    def keys(self) -> list[bytes | None]:
        return list(map(self._kind.key, self._messages))

    @property
    def offsets(self) -> list[int]:
        return list(map(self._kind.offset, self._messages))

    @property
    def timestamps(self) -> list[int]:
        """ms since the Unix epoch, -1 where a record has none."""
        return [at if has else -1 for has, at in map(self._kind.timestamp, self._messages)]

    @property
    def headers(self) -> list[Sequence[tuple[str, bytes | None]]]:
        return [headers or () for headers in map(self._kind.headers, self._messages)]

    def records(self) -> list[Record]:
        return list(map(from_message, self._messages))

    def to_arrow(self) -> pa.RecordBatch:
        """A row for each record: topic, partition, offset, timestamp, key, value, headers."""
        from streaming.formats.as_is import as_is_columns

        return as_is_columns(self._messages)
