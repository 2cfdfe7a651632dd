"""Executor: writes one range's rows into staged files that no reader sees.  Publishes nothing, decides nothing.

Each file gets a new uuid, so that attempts of one task never share a name, and a late one harms nobody (rule N).
"""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from offsets.failpoints import reach
from offsets.filesystems import Filesystem, Writer
from offsets.structs import OffsetRange, StagedFile
from streaming.formats import Format, RowWriter
from streaming.rows import Rows
from streaming.sinks.names import StagingPlace, final_name, joined
from streaming.sinks.parallel import in_parallel

MAX_OPEN = 200  # files of one task at a time; past that the one unused for longest is finished


class _OpenFile:
    """One staged file: counts and checks what goes through it."""

    def __init__(self, file: Writer, format_: Format, staged: str, final: str) -> None:
        self._file, self._staged, self._final = file, staged, final
        self._crc = self._count = self._bad = 0
        self._writer: RowWriter = format_.open(self._write)

    def _write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._file.write(data)

    def add(self, rows: Rows) -> None:
        self._writer.write_rows(rows.rows)
        self._count += rows.count
        self._bad += rows.bad

    def close(self) -> StagedFile:
        reach("task.close")
        self._writer.close()
        length = self._file.close()
        return StagedFile(self._staged, self._final, length, self._crc, self._count, self._bad)

    def abort(self) -> None:
        self._file.abort()


@dataclass
class _Stage:
    """All files of one task attempt."""

    filesystem: Filesystem
    format: Format
    place: StagingPlace
    range: OffsetRange
    open: dict[str, _OpenFile] = field(default_factory=dict)  # by folder, the longest unused first
    begun: Counter[str] = field(default_factory=Counter)
    closed: list[StagedFile] = field(default_factory=list)

    def add(self, folder: str, rows: Rows) -> None:
        file = self.open.pop(folder, None) or self._create(folder)
        self.open[folder] = file
        file.add(rows)
        reach("task.mid")

    def close(self) -> list[StagedFile]:
        self.closed += in_parallel(self.filesystem.parallelism, _OpenFile.close, self.open.values())
        return self.closed

    def abort(self) -> None:
        for file in self.open.values():
            file.abort()

    def _create(self, folder: str) -> _OpenFile:
        if len(self.open) >= MAX_OPEN:
            oldest = next(iter(self.open))
            self.closed.append(self.open[oldest].close())
            del self.open[oldest]
        reach("task.create")
        name = final_name(self.range, self.place, self.begun[folder], self.format.extension)
        staged = f"{self.place.directory}/{uuid.uuid4().hex}"
        self.begun[folder] += 1
        return _OpenFile(self.filesystem.create(staged), self.format, staged, joined(folder, name))


def stage(
    filesystem: Filesystem,
    format_: Format,
    place: StagingPlace,
    range_: OffsetRange,
    groups: Iterable[Mapping[str, Rows]],
) -> list[StagedFile]:
    """Writes, closes and measures every file.  On any error gives them up and raises it."""
    attempt = _Stage(filesystem, format_, place, range_)
    try:
        for group in groups:
            for folder, rows in group.items():
                attempt.add(folder, rows)
        files = attempt.close()
    except BaseException:
        attempt.abort()
        raise
    reach("task.return")
    return files
