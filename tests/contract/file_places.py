"""Where the file contracts are tried, and the batches that the sink tests publish.  No tests in here."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from offsets.filesystems import Filesystem, LocalFilesystem, open_filesystem
from offsets.structs import Manifest, ManifestRef, OffsetRange, TopicState
from servers.hdfs_server import Hdfs
from streaming.formats import open_format
from streaming.sinks.file import StagedFileSink, StagingPlace
from streaming.sinks.staging import Block

APP = uuid.UUID(int=7).hex
TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"
TEXT = open_format("text")
PLACES = ("local", "local without renameat2", "webhdfs")


def lacking(source: str, destination: str) -> None:
    """A kernel or file system without renameat2."""
    raise NotImplementedError


def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Filesystem:
    """An empty root for the test, at the place that its parameter names."""
    if request.param == "webhdfs":
        return webhdfs(request.getfixturevalue("hdfs"))
    if request.param == "local":
        return open_filesystem(f"file://{tmp_path}/sink")
    return LocalFilesystem(f"{tmp_path}/sink", rename=lacking)


def webhdfs(hdfs: Hdfs, user: str = "", root: str = "") -> Filesystem:
    """A root of its own in HDFS, for the superuser unless another is named."""
    return open_filesystem(f"webhdfs://{hdfs.webhdfs}{root or '/tests/' + uuid.uuid4().hex}?user={user or hdfs.user}")


def put(filesystem: Filesystem, path: str, data: bytes) -> None:
    """A whole file."""
    writer = filesystem.create(path)
    writer.write(data)
    writer.close()


def tree(filesystem: Filesystem, path: str = "") -> dict[str, bytes]:
    """Every file below `path` with its content."""
    found: dict[str, bytes] = {}
    for entry in filesystem.list(path):
        below = f"{path}/{entry.name}".lstrip("/")
        found |= tree(filesystem, below) if entry.is_directory else {below: filesystem.read(below)}
    return found


def line(text: str) -> Block:
    """One row of a text file."""
    return Block(TEXT.block([text], None), 1, TEXT)


def visible(filesystem: Filesystem) -> dict[str, bytes]:
    """What a reader sees: everything but what begins with `_` or `.` in the root."""
    found: dict[str, bytes] = {}
    for entry in filesystem.list(""):
        if entry.name[0] not in "_.":
            found |= tree(filesystem, entry.name) if entry.is_directory else {entry.name: filesystem.read(entry.name)}
    return found


@dataclass(frozen=True)
class Prepared:
    """A batch whose manifest is written: what a register would have pending."""

    manifest: Manifest
    ref: ManifestRef

    @property
    def contents(self) -> dict[str, bytes]:
        """What readers are to see: content is derived from the final name by `prepared`."""
        return {f.final: f"{f.final.rpartition('/')[0]}\n".encode() for f in self.manifest.files}


def prepared(
    sink: StagedFileSink, folders: Sequence[str] = ("a", "b/dt=1"), seq: int = 1, epoch: int = 1, topic: str = "orders"
) -> Prepared:
    """Stages one row per folder, which is the folder's name, and writes the manifest."""
    place, range_ = StagingPlace(0, epoch, seq), OffsetRange(topic, 0, seq * 10, seq * 10 + 10)
    groups: list[Mapping[str, Block]] = [{folder: line(folder)} for folder in folders]
    files = tuple(sink.stage(place, range_, groups))
    topics = {topic: TopicState(TOPIC_ID, {0: range_.until_offset})}
    manifest = Manifest(APP, 0, epoch, seq, (range_,), topics, files, len(folders), 1_700_000_000_000)
    return Prepared(manifest, sink.write_manifest(manifest))
