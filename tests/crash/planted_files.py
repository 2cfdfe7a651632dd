"""Planted bugs of those who read records, stage files and publish them; see `tests.crash.planted`."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import Any

from confluent_kafka import IsolationLevel

import streaming.sinks.notes
import streaming.sinks.staging
from offsets.failpoints import reach
from offsets.filesystems import webhdfs
from offsets.filesystems.base import FileStatus, parent
from offsets.filesystems.local import LocalFilesystem, LocalWriter
from offsets.filesystems.webhdfs import WebHdfsFilesystem
from offsets.structs import Manifest, ManifestRef, OffsetRange, StagedFile
from streaming.sinks.names import StagingPlace, encoded_topic
from streaming.sinks.publish import Publication
from streaming.sinks.staging import Block, _OpenFile, _Stage
from streaming.source import client
from streaming.source.broker import Broker
from streaming.tasks.write import Claims
from tests.crash.plain import sinks


def link_and_unlink() -> None:
    """A file is published under its second name before it loses the first."""

    def move(self: Publication, file: StagedFile) -> bool:
        reach("publish.each")
        fs: Any = self.filesystem
        if fs.status(file.staged) is None:
            return False
        with suppress(FileExistsError):
            os.link(f"{fs.root}/{file.staged}", f"{fs.root}/{file.final}")
        reach("publish.sent")
        fs.delete(file.staged)
        return True

    Publication._move = move  # type: ignore[method-assign]


def any_404_is_moved() -> None:
    """A rename that finds something missing is taken for one that was done before."""

    def move(self: Publication, file: StagedFile) -> bool:
        reach("publish.each")
        try:
            self.filesystem.rename_no_clobber(file.staged, file.final)
        except FileNotFoundError:
            return False
        reach("publish.sent")
        return True

    Publication._move = move  # type: ignore[method-assign]


def ignore_false() -> None:
    """WebHDFS' older rename, whose `{"boolean": false}` nobody looks at."""

    def rename(self: WebHdfsFilesystem, source: str, destination: str) -> None:
        with self._errors(destination):
            params = {"op": "RENAME", "destination": self._at(destination)}
            self._session.put(self._link(source), params=params, timeout=self._timeout)

    WebHdfsFilesystem.rename_no_clobber = rename  # type: ignore[method-assign]


def share_names() -> None:
    """Attempts of a task stage under one name, over what is there; nobody looks whether it stays."""

    def create(self: _Stage, folder: str, first: Block) -> _OpenFile:
        name = streaming.sinks.staging.final_name(self.range, self.place, self.begun[folder], first.format.extension)
        staged = f"{self.place.directory}/{folder.replace('/', '+')}+{name}"
        self.begun[folder] += 1
        return _OpenFile(self.filesystem.create(staged), first, staged, f"{folder}/{name}")

    real = LocalFilesystem.create

    def overwrite(self: LocalFilesystem, path: str) -> LocalWriter:
        self.delete(path)
        return real(self, path)

    _Stage._create = create  # type: ignore[method-assign]
    LocalFilesystem.create = overwrite  # type: ignore[method-assign]
    streaming.sinks.notes.check_staged = lambda *_: None


def publish_what_is_listed() -> None:
    """Whatever lies in a batch's staging is published with it."""
    real = Publication.run

    def run(self: Publication, ref: ManifestRef, manifest: Manifest) -> None:
        folder, named = parent(ref.path), {file.staged for file in manifest.files}
        found = {f"{folder}/{entry.name}": entry for entry in self.filesystem.list(folder)}
        others = [found[path] for path in found if path not in {ref.path, *named}]
        made = f"g{manifest.generation}e{manifest.epoch}.json"
        files = [StagedFile(f"{folder}/{o.name}", f"side=listed/{o.name}+{made}", o.length, 0, 0) for o in others]
        real(self, ref, replace(manifest, files=(*manifest.files, *files)))

    Publication.run = run  # type: ignore[method-assign]


def plain_names() -> None:
    """A published file is named by its range alone."""

    def name(range_: OffsetRange, place: StagingPlace, part: int, extension: str) -> str:
        offsets = f"{range_.from_offset:010d}+{range_.until_offset:010d}"
        return f"{encoded_topic(range_.topic)}+p{range_.partition}+{offsets}+{part}.{extension}"

    streaming.sinks.staging.final_name = name


def no_length_check() -> None:
    """What an upload has left is not measured against what was sent."""

    def whole(path: str, found: FileStatus | None, length: int) -> FileStatus:
        assert found is not None
        return found

    webhdfs._whole = whole


def enforce(name: str, value: str) -> None:
    """A client property that the product keeps to, otherwise."""
    enforced: Any = client.ENFORCED
    enforced[name] = (value, "")


def reset_to_earliest() -> None:
    """An offset that the log no longer has is taken for its beginning."""
    enforce("auto.offset.reset", "earliest")


def until_is_high_watermark() -> None:
    """Planned is to the end of the log, not to the last stable offset."""
    real = Broker._ask_offsets

    def ask(self: Broker, wanted: Any, left: float, *_: Any) -> Any:
        return real(self, wanted, left, IsolationLevel.READ_UNCOMMITTED)

    Broker._ask_offsets = ask  # type: ignore[method-assign]


def read_uncommitted() -> None:
    """Records of open and of aborted transactions are read too."""
    enforce("isolation.level", "read_uncommitted")


def not_idempotent() -> None:
    """A direct sink declares itself idempotent, and appends."""
    sinks.Upsert.statement = sinks.Append.statement


def attempts_unclaimed() -> None:
    """Tasks of a direct sink run again as often as they like."""
    Claims.claim = lambda *_: None  # type: ignore[method-assign]
