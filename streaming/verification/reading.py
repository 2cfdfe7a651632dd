"""The looks at a sink: listings and small files, several at a time where that pays off.  Changes nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from offsets import codec
from offsets.errors import StateDamagedError
from offsets.filesystems import Filesystem
from offsets.filesystems.base import FileStatus
from offsets.structs import Manifest
from streaming.sinks.batch_log import logged_numbers
from streaming.sinks.names import BATCHES, QUARANTINE, RESET, STAGING, batch_entry, joined, reset_entry
from streaming.sinks.notes import numbered
from streaming.sinks.parallel import in_parallel

CHUNK = 500  # requests whose answers are held at a time
T = TypeVar("T")


class Entry(NamedTuple):
    """One entry of the batch log: its manifest and the sha256 of its bytes, or why it cannot be read."""

    generation: int
    seq: int
    manifest: Manifest | None
    sha256: str | None
    damage: str


def logged(filesystem: Filesystem) -> list[tuple[int, int]]:
    """(generation, number) of every entry of the batch log, in order."""
    generations = map(int, numbered(filesystem, BATCHES))
    return [(generation, seq) for generation in generations for seq in logged_numbers(filesystem, generation)]


def entries(filesystem: Filesystem, wanted: Sequence[tuple[int, int]]) -> Iterator[Entry | None]:
    """In the order asked for; None for one that retention has deleted meanwhile."""
    for some in chunks(wanted):
        yield from in_parallel(filesystem.parallelism, lambda place: _entry(filesystem, *place), some)


def resets(filesystem: Filesystem) -> list[int]:
    """The generations of which a reset has left in the log where they begin."""
    names = (entry.name.removesuffix(RESET) for entry in filesystem.list(BATCHES) if entry.name.endswith(RESET))
    return sorted(int(name) for name in names if name.isdecimal())


def reset_trace(filesystem: Filesystem, generation: int) -> Manifest:
    """That trace.  StateDamagedError."""
    return codec.decode_manifest(filesystem.read(reset_entry(generation)), reset_entry(generation))


def visible(filesystem: Filesystem) -> Iterator[tuple[str, list[FileStatus]]]:
    """Each folder with the files that readers see in it, and the quarantine."""
    level = [""]
    while level:
        below = []
        for some in chunks(level):
            for folder, found in in_parallel(filesystem.parallelism, lambda f: (f, filesystem.list(f)), some):
                shown = [entry for entry in found if _is_data(folder, entry.name)]
                below += [joined(folder, entry.name) for entry in shown if entry.is_directory]
                yield folder, [entry for entry in shown if not entry.is_directory]
        level = below


def staged(filesystem: Filesystem) -> set[tuple[int, int]]:
    """(epoch, seq) of every batch that has a folder in staging."""
    epochs = numbered(filesystem, STAGING)
    return {(int(epoch), int(seq)) for epoch in epochs for seq in numbered(filesystem, f"{STAGING}/{epoch}")}


def checksums(filesystem: Filesystem, folder: str, names: Iterable[str]) -> Iterator[tuple[str, int | None]]:
    """CRC-32 of each file's content; None for one that was moved away meanwhile."""
    for some in chunks(list(names)):
        yield from in_parallel(filesystem.parallelism, lambda n: (n, _crc(filesystem, joined(folder, n))), some)


def chunks(items: Sequence[T]) -> Iterator[list[T]]:
    """In pieces that fit into memory with their answers."""
    rest = iter(items)
    while some := list(islice(rest, CHUNK)):
        yield some


def _entry(filesystem: Filesystem, generation: int, seq: int) -> Entry | None:
    path = batch_entry(generation, seq)
    try:
        data = filesystem.read(path)
        return Entry(generation, seq, codec.decode_manifest(data, path), codec.digest(data), "")
    except FileNotFoundError:
        return None
    except StateDamagedError as e:
        return Entry(generation, seq, None, None, str(e))


def _crc(filesystem: Filesystem, path: str) -> int | None:
    try:
        return zlib.crc32(filesystem.read(path))
    except FileNotFoundError:
        return None


def _is_data(folder: str, name: str) -> bool:
    return name[0] not in "_." or (not folder and name == QUARANTINE)
