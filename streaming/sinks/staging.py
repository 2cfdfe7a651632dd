"""Executor: writes one range's blocks into staged files that no reader sees.  Publishes nothing, decides nothing.

Each file gets a new uuid, so that attempts of one task never share a name, and a late one harms nobody (rule N).
"""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from offsets.failpoints import reach
from offsets.filesystems import Filesystem, Writer
from offsets.structs import OffsetRange, StagedFile
from streaming.formats import BlockWriter, Format
from streaming.sinks.names import StagingPlace, final_name, joined
from streaming.sinks.parallel import in_parallel

if TYPE_CHECKING:
    import pyarrow as pa

MAX_OPEN = 200  # files of one task at a time; past that the one unused for longest is finished
MAX_HELD = 512 << 20  # bytes of rows that its writers hold back; past that the one that holds most is finished


@dataclass(frozen=True)
class Block:
    """What goes into one file at once.  All blocks of one directory have one format and one schema."""

    content: Any  # what the format's writer takes
    count: int  # rows
    format: Format
    schema: pa.Schema | None = None  # of a typed format
    bad: int = 0  # how many of the rows stand for records that the function could not use


class _OpenFile:
    """One staged file: counts and checks what goes through it."""

    def __init__(self, file: Writer, first: Block, staged: str, final: str) -> None:
        self._file, self._staged, self._final = file, staged, final
        self._crc = self._count = self._bad = 0
        self._writer: BlockWriter = first.format.open(self._write, first.schema)

    def _write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._file.write(data)

    @property
    def held(self) -> int:
        return self._writer.held

    def add(self, block: Block) -> None:
        self._writer.write_block(block.content)
        self._count += block.count
        self._bad += block.bad

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
    place: StagingPlace
    range: OffsetRange
    open: dict[str, _OpenFile] = field(default_factory=dict)  # by folder, the longest unused first
    begun: Counter[str] = field(default_factory=Counter)
    closed: list[StagedFile] = field(default_factory=list)
    held: int = 0

    def add(self, folder: str, block: Block) -> None:
        file = self.open.pop(folder, None) or self._create(folder, block)
        self.open[folder] = file
        before = file.held
        file.add(block)
        self.held += file.held - before
        if self.held > MAX_HELD:
            self._finish(max(self.open, key=lambda f: self.open[f].held))
        reach("task.mid")

    def close(self) -> list[StagedFile]:
        self.closed += in_parallel(self.filesystem.parallelism, _OpenFile.close, self.open.values())
        return self.closed

    def abort(self) -> None:
        for file in self.open.values():
            file.abort()

    def _finish(self, folder: str) -> None:
        file = self.open[folder]
        self.held -= file.held
        self.closed.append(file.close())
        del self.open[folder]

    def _create(self, folder: str, first: Block) -> _OpenFile:
        if len(self.open) >= MAX_OPEN:
            self._finish(next(iter(self.open)))
        reach("task.create")
        name = final_name(self.range, self.place, self.begun[folder], first.format.extension)
        staged = f"{self.place.directory}/{uuid.uuid4().hex}"
        self.begun[folder] += 1
        return _OpenFile(self.filesystem.create(staged), first, staged, joined(folder, name))


def stage(
    filesystem: Filesystem, place: StagingPlace, range_: OffsetRange, groups: Iterable[Mapping[str, Block]]
) -> list[StagedFile]:
    """Writes, closes and measures every file.  On any error gives them up and raises it."""
    attempt = _Stage(filesystem, place, range_)
    try:
        for group in groups:
            for folder, block in group.items():
                attempt.add(folder, block)
        files = attempt.close()
    except BaseException:
        attempt.abort()
        raise
    reach("task.return")
    return files
