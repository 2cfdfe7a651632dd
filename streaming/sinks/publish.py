"""Driver: makes a decided batch visible, by protocol.md's rules P and M.  Computes no name and runs no function.

Whoever repeats it, at any time, together with anybody: each file moves once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from offsets.errors import DestinationExistsError, StagedDamagedError, StreamError, UnavailableError
from offsets.failpoints import reach
from offsets.filesystems import Filesystem
from offsets.filesystems.base import parent
from offsets.structs import Manifest, ManifestRef, StagedFile
from streaming.sinks.batch_log import log_batch
from streaming.sinks.notes import RESTORE, lost
from streaming.sinks.parallel import in_parallel, patience


@dataclass(frozen=True)
class Publication:
    """One call of `publish`.  `patience_seconds`: how long servers may be away before UnavailableError."""

    filesystem: Filesystem
    register_changed: Callable[[], bool]
    check_lengths: bool
    log: bool
    patience_seconds: float

    def run(self, ref: ManifestRef, manifest: Manifest) -> None:
        """Log entry, parents, renames, rule M.  See `StagedFileSink.publish` for what it raises."""
        again, fs = patience(self.patience_seconds), self.filesystem
        if self.log:
            again(log_batch, fs, ref, manifest, self.register_changed)
        folders = sorted({parent(file.final) for file in manifest.files})
        in_parallel(fs.parallelism, lambda folder: again(self._make, folder), folders)
        moved = in_parallel(fs.parallelism, lambda file: again(self._move, file), manifest.files)
        if not all(moved) and again(fs.status, ref.path) is None:
            raise lost(fs, parent(ref.path), self.register_changed)

    def _make(self, folder: str) -> None:
        reach("publish.mkdir")
        self.filesystem.mkdirs(folder)

    def _move(self, file: StagedFile) -> bool:
        """True if this call moved it, False if it was moved before.  Raises UnavailableError to be called again."""
        reach("publish.each")
        fs = self.filesystem
        if self.check_lengths and not self._whole(file):
            return False
        try:
            fs.rename_no_clobber(file.staged, file.final)
            reach("publish.sent")
        except (OSError, StreamError) as failure:
            # First the destination, then the source: seen in this order, a destination beside its source is not ours.
            taken = fs.status(file.final) is not None
            if fs.status(file.staged) is None:
                return False
            if taken:
                raise self._clash(file) from failure
            if isinstance(failure, FileNotFoundError):
                fs.mkdirs(parent(file.final))
            elif isinstance(failure, StreamError) and not failure.retriable:
                raise
            raise UnavailableError(f"{fs.url}/{file.final}: not moved yet: {failure}", "launch again") from failure
        return True

    def _whole(self, file: StagedFile) -> bool:
        """False if there is no source any more.  Raises StagedDamagedError for one of another length."""
        found = self.filesystem.status(file.staged)
        if found is not None and (found.length != file.length or found.is_directory):
            where = f"{self.filesystem.url}/{file.staged}"
            told = f"{where} has {found.length} bytes, the manifest names {file.length}"
            raise StagedDamagedError(told, RESTORE.format(where))
        return found is not None

    def _clash(self, file: StagedFile) -> DestinationExistsError:
        url = self.filesystem.url
        return DestinationExistsError(
            f"{url}/{file.final} exists, while {url}/{file.staged}, which is to become it, waits in staging",
            f"{url}/{file.final} is not of this job: move it away, then launch again; the batch is published then",
        )
