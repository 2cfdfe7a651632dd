"""The batch log: one entry a batch, its manifest's own bytes; a lost register is rebuilt from the newest.  Driver only.

Entries are written once and never changed; `streaming.sinks.retention` deletes the oldest.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

from offsets import codec
from offsets.errors import DestinationExistsError, RegisterError, StreamError
from offsets.filesystems import Filesystem
from offsets.filesystems.base import parent
from offsets.structs import Manifest, ManifestRef, OffsetRange, State
from streaming.sinks.names import BATCHES, RESET, batch_entry, reset_entry
from streaming.sinks.notes import manifest_bytes, manifest_path, write_once

LOG = logging.getLogger(__name__)
REWOUND = "the register is older than what is published (put back from a copy?), or two registers serve this sink"
REBUILD = (
    "do not touch that file: what it names is published. If another job writes here, give each its own sink.path; else "
    "stop every run of this job, move its register away, and launch with --recover register: it goes on behind the "
    "newest batch"
)


def log_batch(filesystem: Filesystem, ref: ManifestRef, manifest: Manifest, changed: Callable[[], bool]) -> None:
    """The batch log entry: the manifest's own bytes.  Fine if it is there; DestinationExistsError for other bytes."""
    data = codec.encode_manifest(manifest)
    if codec.digest(data) != ref.sha256:  # written by an older version of this program
        data = manifest_bytes(filesystem, ref, changed)
    temporary = f"{parent(ref.path)}/{uuid.uuid4().hex}"
    path = batch_entry(manifest.generation, manifest.seq)
    try:
        write_once(filesystem, path, data, temporary)
    except DestinationExistsError as e:
        raise DestinationExistsError(f"{filesystem.url}/{path} is of another batch: {REWOUND}", REBUILD) from e


def log_written(filesystem: Filesystem, manifest: Manifest) -> None:
    """The entry of a direct sink's batch.  Fine if there is one of the same ranges, which a redo has written again."""
    path = batch_entry(manifest.generation, manifest.seq)
    try:
        write_once(filesystem, path, codec.encode_manifest(manifest))
    except DestinationExistsError as e:
        if find_written(filesystem, manifest.app, manifest.generation, manifest.seq, manifest.ranges) is None:
            raise DestinationExistsError(f"{filesystem.url}/{path} is of another batch: {REWOUND}", REBUILD) from e


def find_written(
    filesystem: Filesystem, app: str, generation: int, seq: int, ranges: tuple[OffsetRange, ...]
) -> Manifest | None:
    """The entry of this batch of a direct sink, which says that all of it is written; None if that is not there."""
    path = batch_entry(generation, seq)
    if filesystem.status(path) is None:
        return None
    found = codec.decode_manifest(filesystem.read(path), f"{filesystem.url}/{path}")
    return found if (found.app, found.ranges) == (app, ranges) else None


def refuse_logged(filesystem: Filesystem, generation: int, seq: int) -> None:
    """Before anything is planned: RegisterError if the batch that comes next, or any later one, was published already.

    A register that was put back from a copy, or one of two that write here, would publish its records again.
    """
    if path := next(_later(filesystem, generation, seq), None):
        raise RegisterError(
            f"{filesystem.url}/{path} is there although the register has yet to write it: {REWOUND}", REBUILD
        )


def _later(filesystem: Filesystem, generation: int, seq: int) -> Iterator[str]:
    """Entries that a register at `seq` of `generation` cannot know.  The next one itself may have been pruned."""
    names = [entry.name for entry in filesystem.list(BATCHES)]
    traces = (name for name in names if name.endswith(RESET) and name.removesuffix(RESET).isdecimal())
    yield from (f"{BATCHES}/{name}" for name in traces if int(name.removesuffix(RESET)) > generation)
    for begun in sorted(int(name) for name in names if name.isdecimal()):
        if begun >= generation:
            before = batch_entry(begun, seq - 1).rpartition("/")[2]
            found = (entry.name for entry in filesystem.list(f"{BATCHES}/{begun}", before))
            yield from (f"{BATCHES}/{begun}/{name}" for name in found if name.removesuffix(".json").isdecimal())


class LoggedBatch(NamedTuple):
    """An entry of the batch log.  `staged` refers to its manifest in staging, None once that was collected."""

    path: str
    manifest: Manifest
    staged: ManifestRef | None


def newest_batch(filesystem: Filesystem) -> LoggedBatch | None:
    """The newest entry of the batch log; None if there is none.  StateDamagedError if it is damaged."""
    found = {entry.name for entry in filesystem.list(BATCHES)}
    generations = {int(name.removesuffix(RESET)) for name in found if name.removesuffix(RESET).isdecimal()}
    for generation in sorted(generations, reverse=True):
        if numbers := logged_numbers(filesystem, generation):
            return _logged(filesystem, batch_entry(generation, numbers[-1]))
        if (reset := reset_entry(generation)).rpartition("/")[2] in found:
            return _logged(filesystem, reset)
    return None


def logged_numbers(filesystem: Filesystem, generation: int, begin: int = 0) -> list[int]:
    """Of the batches of this generation, from `begin` on, that are in the log, ascending.  Lists no more than these."""
    names = (entry.name for entry in filesystem.list(f"{BATCHES}/{generation}", after=f"{begin:010d}" if begin else ""))
    return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())


def log_reset(filesystem: Filesystem, state: State) -> None:
    """Where a generation begins, for a rebuild before its first batch is logged.  Nothing before any batch at all.

    Once is enough.  The reset stands, so what servers refuse is logged and left.
    """
    if not state.seq:
        return
    begun = Manifest(
        app=state.app,
        generation=state.generation,
        epoch=state.epoch,
        seq=state.seq - 1,
        ranges=(),
        topics=state.topics,
        files=(),
        records=0,
        time_ms=state.time_ms,
        schemas=state.schemas,
    )
    try:
        if filesystem.status(reset_entry(state.generation)) is None:
            write_once(filesystem, reset_entry(state.generation), codec.encode_manifest(begun))
    except (StreamError, OSError) as e:
        LOG.warning("until the next batch, --recover register would go back before this reset: %s", e)


def _logged(filesystem: Filesystem, path: str) -> LoggedBatch:
    data = filesystem.read(path)
    manifest = codec.decode_manifest(data, f"{filesystem.url}/{path}")
    staged = ManifestRef(manifest_path(manifest), codec.digest(data), len(manifest.files))
    return LoggedBatch(path, manifest, staged if manifest.ranges and filesystem.status(staged.path) else None)
