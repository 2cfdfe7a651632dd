"""The sink's own small files: manifest and marker.  Driver only; each is written once and never changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress

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
from offsets.structs import Manifest, ManifestRef
from streaming.sinks.names import MANIFEST, MARKER, MARKER_TEMP, PROBE, STAGING, StagingPlace

RESTORE = "restore {0} (trash, snapshot) and launch again; nothing below _staging may be deleted by hand"


def write_manifest(filesystem: Filesystem, manifest: Manifest) -> ManifestRef:
    """An exclusive create suffices: only a manifest whose create and length check came back is ever referred to.

    SinkError if the driver does not see every staged file whole: executors that write to disks of their own would
    otherwise have a batch committed of which nothing can be published (rule P takes a source that is gone for moved).
    """
    check_staged(filesystem, manifest)
    data, path = codec.encode_manifest(manifest), manifest_path(manifest)
    try:
        write_new(filesystem, path, data)
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
    return codec.decode_manifest(manifest_bytes(filesystem, ref, register_changed), f"{filesystem.url}/{ref.path}")


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
    try:
        write_once(filesystem, MARKER, codec.encode_marker(app))
    except DestinationExistsError as e:
        if (other := read_marker(filesystem)) == app:
            return
        remedy = "one sink.path serves one application: choose another, or the register that belongs to it"
        raise RegisterError(f"{filesystem.url} belongs to application {other}, not to {app}", remedy) from e


def check_writable(filesystem: Filesystem) -> None:
    """Writes a small file below the root and deletes it.  Raises SinkError or UnavailableError."""
    path = f"{STAGING}/{PROBE}{uuid.uuid4().hex}"
    try:
        write_new(filesystem, path, b"probe\n")
        filesystem.delete(path)
    except OSError as e:
        raise SinkError(f"{filesystem.url} cannot be written: {e}", "check sink.path and its rights") from e


def lost(filesystem: Filesystem, directory: str, changed: Callable[[], bool]) -> StreamError:
    """Rule M: the manifest of a batch that was thought pending is gone.  Another driver finished it, or it is lost."""
    if changed():
        return FencedError("another driver has finished the batch", "nothing to do: that one goes on")
    where = f"{filesystem.url}/{directory}"
    return StagingLostError(f"the staged files of the pending batch are gone from {where}", RESTORE.format(where))


def manifest_path(manifest: Manifest) -> str:
    """In staging, beside the files it names."""
    return f"{StagingPlace(manifest.generation, manifest.epoch, manifest.seq).directory}/{MANIFEST}"


def manifest_bytes(filesystem: Filesystem, ref: ManifestRef, changed: Callable[[], bool]) -> bytes:
    """Those that the register names; raises as `read_manifest` does."""
    try:
        data = filesystem.read(ref.path)
    except FileNotFoundError as e:
        raise lost(filesystem, parent(ref.path), changed) from e
    if codec.digest(data) != ref.sha256:
        where = f"{filesystem.url}/{ref.path}"
        raise StateDamagedError(f"{where} is not the manifest that the register names", RESTORE.format(where))
    return data


def write_new(filesystem: Filesystem, path: str, data: bytes) -> None:
    """A whole new file, or none that anybody takes for one.  FileExistsError: the name is taken."""
    writer = filesystem.create(path)
    try:
        writer.write(data)
        writer.close()
    except BaseException:
        writer.abort()
        raise


def write_once(filesystem: Filesystem, path: str, data: bytes, temporary: str = "") -> None:
    """Appears whole or not at all.  The same bytes there already are as good, whoever wrote them.

    `temporary`: what it is called before; by default a name of its own in staging, which a crash leaves to rule G.
    """
    temporary = temporary or f"{STAGING}/{MARKER_TEMP}{uuid.uuid4().hex}"
    write_new(filesystem, temporary, data)
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
