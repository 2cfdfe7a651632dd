"""The sink's own small files: manifest, batch log and marker.  Driver only; each is written once and never changed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from offsets import codec
from offsets.errors import (
    DestinationExistsError,
    FencedError,
    RegisterError,
    SinkError,
    StagingLostError,
    StateDamagedError,
    StreamError,
)
from offsets.filesystems import Filesystem
from offsets.filesystems.base import parent
from offsets.structs import Manifest, ManifestRef, State
from streaming.sinks.names import (
    BATCHES,
    MANIFEST,
    MARKER,
    MARKER_TEMP,
    PROBE,
    RESET,
    STAGING,
    StagingPlace,
    batch_entry,
    reset_entry,
)

LOG = logging.getLogger(__name__)
REWOUND = "the register is older than what is published (put back from a copy?), or two registers serve this sink"
REBUILD = (
    "do not touch that file: what it names is published. If another job writes here, give each its own sink.path; else "
    "stop every run of this job, move its register away, and launch with --recover register: it goes on behind the "
    "newest batch"
)
RESTORE = "restore {0} (trash, snapshot) and launch again; nothing below _staging may be deleted by hand"


def write_manifest(filesystem: Filesystem, manifest: Manifest) -> ManifestRef:
    """An exclusive create suffices: only a manifest whose create and length check came back is ever referred to.

    SinkError if the driver does not see every staged file whole: executors that write to disks of their own would
    otherwise have a batch committed of which nothing can be published (rule P takes a source that is gone for moved).
    """
    check_staged(filesystem, manifest)
    data, path = codec.encode_manifest(manifest), _manifest_path(manifest)
    try:
        _write(filesystem, path, data)
    except FileExistsError as e:
        raise DestinationExistsError(
            f"{filesystem.url}/{path} exists: this batch was staged before", "launch again"
        ) from e
    return ManifestRef(path, codec.digest(data), len(manifest.files))


def check_staged(filesystem: Filesystem, manifest: Manifest) -> None:
    """Raises SinkError, before anything is decided, unless each file is there with its length.  One look a batch."""
    directories = sorted({parent(file.staged) for file in manifest.files})
    seen = {f"{d}/{s.name}": s.length for d in directories for s in filesystem.list(d) if not s.is_directory}
    for file in manifest.files:
        if (length := seen.get(file.staged)) != file.length:
            told = "is not there" if length is None else f"has {length} bytes"
            raise SinkError(
                f"{filesystem.url}/{file.staged} {told} for the driver; an executor has written {file.length} bytes",
                "file: is for one machine, or for a disk that all executors and the driver share; otherwise set "
                "sink.path = webhdfs://...; nothing was published",
            )


def read_manifest(filesystem: Filesystem, ref: ManifestRef, register_changed: Callable[[], bool]) -> Manifest:
    """Of a pending batch.  StagingLostError if it is gone, StateDamagedError if it is not what the register names."""
    return codec.decode_manifest(_manifest_bytes(filesystem, ref, register_changed), f"{filesystem.url}/{ref.path}")


def log_batch(filesystem: Filesystem, ref: ManifestRef, manifest: Manifest, changed: Callable[[], bool]) -> None:
    """The batch log entry: the manifest's own bytes.  Fine if it is there; DestinationExistsError for other bytes."""
    data = codec.encode_manifest(manifest)
    if codec.digest(data) != ref.sha256:  # written by an older version of this program
        data = _manifest_bytes(filesystem, ref, changed)
    temporary = f"{parent(ref.path)}/{uuid.uuid4().hex}"
    path = batch_entry(manifest.generation, manifest.seq)
    try:
        _write_once(filesystem, path, data, temporary)
    except DestinationExistsError as e:
        raise DestinationExistsError(f"{filesystem.url}/{path} is of another batch: {REWOUND}", REBUILD) from e


def refuse_logged(filesystem: Filesystem, generation: int, seq: int) -> None:
    """Before anything is planned: RegisterError if the batch that comes next was published already.

    A register that was put back from a copy, or one of two that write here, would publish its records again.
    """
    path = batch_entry(generation, seq)
    if filesystem.status(path) is not None:
        raise RegisterError(
            f"{filesystem.url}/{path} is there although the register has yet to write it: {REWOUND}", REBUILD
        )


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


def logged_numbers(filesystem: Filesystem, generation: int) -> list[int]:
    """Of the batches of this generation that are in the log, ascending."""
    names = (entry.name for entry in filesystem.list(f"{BATCHES}/{generation}"))
    return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal())


def log_reset(filesystem: Filesystem, state: State) -> None:
    """Where a generation begins, for a rebuild before its first batch is logged.  Nothing before any batch at all.

    The reset stands, so what servers refuse is logged and left.
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
    temporary = f"{STAGING}/{MARKER_TEMP}{uuid.uuid4().hex}"
    try:
        _write_once(filesystem, reset_entry(state.generation), codec.encode_manifest(begun), temporary)
    except (StreamError, OSError) as e:
        LOG.warning("until the next batch, --recover register would go back before this reset: %s", e)


def _logged(filesystem: Filesystem, path: str) -> LoggedBatch:
    data = filesystem.read(path)
    manifest = codec.decode_manifest(data, f"{filesystem.url}/{path}")
    staged = ManifestRef(_manifest_path(manifest), codec.digest(data), len(manifest.files))
    return LoggedBatch(path, manifest, staged if manifest.ranges and filesystem.status(staged.path) else None)


def numbered(filesystem: Filesystem, directory: str) -> list[str]:
    """Its entries that are numbers, in numerical order."""
    return sorted((s.name for s in filesystem.list(directory) if s.name.isdecimal()), key=int)


def read_marker(filesystem: Filesystem) -> str | None:
    """The application that the root belongs to; None if it has no marker.  StateDamagedError if that is damaged."""
    try:
        data = filesystem.read(MARKER)
    except FileNotFoundError:
        return None
    return codec.decode_marker(data, f"{filesystem.url}/{MARKER}")


def write_marker(filesystem: Filesystem, app: str) -> None:
    """Fine if it is there for the same application; RegisterError if for another."""
    temporary = f"{STAGING}/{MARKER_TEMP}{uuid.uuid4().hex}"
    try:
        _write_once(filesystem, MARKER, codec.encode_marker(app), temporary)
    except DestinationExistsError as e:
        if (other := read_marker(filesystem)) == app:
            return
        remedy = "one sink.path serves one application: choose another, or the register that belongs to it"
        raise RegisterError(f"{filesystem.url} belongs to application {other}, not to {app}", remedy) from e


def check_writable(filesystem: Filesystem) -> None:
    """Writes a small file below the root and deletes it.  Raises SinkError or UnavailableError."""
    path = f"{STAGING}/{PROBE}{uuid.uuid4().hex}"
    try:
        _write(filesystem, path, b"probe\n")
        filesystem.delete(path)
    except OSError as e:
        raise SinkError(f"{filesystem.url} cannot be written: {e}", "check sink.path and its rights") from e


def lost(filesystem: Filesystem, directory: str, changed: Callable[[], bool]) -> StreamError:
    """Rule M: the manifest of a batch that was thought pending is gone.  Another driver finished it, or it is lost."""
    if changed():
        return FencedError("another driver has finished the batch", "nothing to do: that one goes on")
    where = f"{filesystem.url}/{directory}"
    return StagingLostError(f"the staged files of the pending batch are gone from {where}", RESTORE.format(where))


def _manifest_path(manifest: Manifest) -> str:
    return f"{StagingPlace(manifest.generation, manifest.epoch, manifest.seq).directory}/{MANIFEST}"


def _manifest_bytes(filesystem: Filesystem, ref: ManifestRef, changed: Callable[[], bool]) -> bytes:
    try:
        data = filesystem.read(ref.path)
    except FileNotFoundError as e:
        raise lost(filesystem, parent(ref.path), changed) from e
    if codec.digest(data) != ref.sha256:
        where = f"{filesystem.url}/{ref.path}"
        raise StateDamagedError(f"{where} is not the manifest that the register names", RESTORE.format(where))
    return data


def _write(filesystem: Filesystem, path: str, data: bytes) -> None:
    writer = filesystem.create(path)
    try:
        writer.write(data)
        writer.close()
    except BaseException:
        writer.abort()
        raise


def _write_once(filesystem: Filesystem, path: str, data: bytes, temporary: str) -> None:
    """Appears whole or not at all.  The same bytes there already are as good, whoever wrote them."""
    _write(filesystem, temporary, data)
    filesystem.mkdirs(parent(path))
    try:
        filesystem.rename_no_clobber(temporary, path)
    except (OSError, StreamError):
        try:
            found = filesystem.read(path)
        except FileNotFoundError:
            found = None
        if found is None:
            raise
        with suppress(OSError, StreamError):
            filesystem.delete(temporary)
        if found != data:
            where = f"{filesystem.url}/{path}"
            raise DestinationExistsError(f"{where} exists with other content", f"move {where} away") from None
