"""The staged file sink: exactly once on a local disk or HDFS.  Executors stage; the driver alone publishes.

The parts: names (pure), staging (executor), notes (manifest, marker), batch_log, publish (rules P and M), garbage (G).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from offsets.filesystems import Filesystem, open_filesystem
from offsets.structs import Manifest, ManifestRef, OffsetRange, StagedFile, State
from streaming.sinks import batch_log, garbage, notes, staging
from streaming.sinks.names import StagingPlace
from streaming.sinks.parallel import answered, patience
from streaming.sinks.publish import Publication
from streaming.sinks.staging import Block

PATIENCE_SECONDS = 30.0
PROBE_SECONDS = 10.0  # at the start a wrong address is the likely reason: said soon


def never() -> bool:
    return False


@dataclass(frozen=True)
class StagedFileSink:
    """Picklable; connects at the first request."""

    filesystem: Filesystem
    patience_seconds: float = PATIENCE_SECONDS

    @property
    def url(self) -> str:
        return self.filesystem.url

    def stage(
        self, place: StagingPlace, range_: OffsetRange, groups: Iterable[Mapping[str, Block]]
    ) -> list[StagedFile]:
        """Executor: one staged file per directory of `groups` (already encoded), closed and measured.

        On any error the files are given up and the error is raised.
        """
        return staging.stage(self.filesystem, place, range_, groups)

    def write_manifest(self, manifest: Manifest) -> ManifestRef:
        """Driver, step `manifest`: its bytes beside the files it names.  Decides nothing yet."""
        return notes.write_manifest(self.filesystem, manifest)

    def read_manifest(self, ref: ManifestRef, register_changed: Callable[[], bool] = never) -> Manifest:
        """Driver, redo.  StateDamagedError if its sha256 is another.

        If it is gone: FencedError if `register_changed()`, else StagingLostError.
        """
        return notes.read_manifest(self.filesystem, ref, register_changed)

    def publish(
        self,
        ref: ManifestRef,
        manifest: Manifest,
        register_changed: Callable[[], bool],
        check_lengths: bool = False,
        log: bool = True,
    ) -> None:
        """Driver: the batch log entry, unless `log` is False, then every file under its final name.  Idempotent.

        Of a batch that is decided, or that nobody needs to finish: see the profiles.
        `check_lengths` for a redo: StagedDamagedError before a file of another length would become visible.
        DestinationExistsError: a final name is taken.  If files and manifest are gone: FencedError if
        `register_changed()`, else StagingLostError.  UnavailableError after `patience_seconds`; what was pending stays
        so then, as after any error.
        """
        Publication(self.filesystem, register_changed, check_lengths, log, self.patience_seconds).run(ref, manifest)

    def log_batch(self, ref: ManifestRef, manifest: Manifest, register_changed: Callable[[], bool]) -> None:
        """Driver, step `log`: the batch log entry of a batch that is committed.  Raises as `publish` does for it."""
        again = patience(self.patience_seconds)
        again(batch_log.log_batch, self.filesystem, ref, manifest, register_changed)

    def log_written(self, manifest: Manifest) -> None:
        """Driver, step `log` of a direct sink's batch.  Fine if there is one of the same ranges, of before a redo."""
        patience(self.patience_seconds)(batch_log.log_written, self.filesystem, manifest)

    def find_written(self, state: State) -> Manifest | None:
        """Driver: of a direct sink's batch that `state` has pending, the entry that says that all of it is written."""
        ranges = state.pending.ranges if state.pending else ()
        return batch_log.find_written(self.filesystem, state.app, state.generation, state.seq, ranges)

    def refuse_logged(self, generation: int, seq: int) -> None:
        """Driver, before it plans: RegisterError if this batch, which is the next one, or a later one was published."""
        batch_log.refuse_logged(self.filesystem, generation, seq)

    def collect_garbage(self, older_than: tuple[int, int]) -> None:
        """Driver, rule G: staging of batches before (epoch, seq).  What cannot be deleted now is logged and left."""
        garbage.collect_garbage(self.filesystem, older_than)

    def marker(self) -> str | None:
        """The uuid of the application that the root belongs to; None without a marker.  StateDamagedError."""
        return notes.read_marker(self.filesystem)

    def write_marker(self, app: str) -> None:
        """Idempotent.  RegisterError if the root belongs to another application."""
        notes.write_marker(self.filesystem, app)

    def newest_batch(self) -> batch_log.LoggedBatch | None:
        """The newest entry of the batch log, to rebuild a lost register from; None if there is none.

        StateDamagedError if it is damaged.
        """
        return batch_log.newest_batch(self.filesystem)

    def log_reset(self, state: State) -> None:
        """Driver, after a reset: lets `newest_batch` tell where the new generation begins.  May be left out."""
        batch_log.log_reset(self.filesystem, state)

    def check_writable(self, seconds: float = PROBE_SECONDS) -> None:
        """Before a run: writes and deletes a probe.  SinkError, or UnavailableError after `seconds` at the latest."""
        answered(self.url, seconds, lambda: notes.check_writable(self.filesystem))


def open_sink(url: str) -> StagedFileSink:
    """The sink for a job's sink.path.  Raises ConfigError; does not connect."""
    return StagedFileSink(open_filesystem(url))
