"""The way out for a pending batch that nobody can finish: what is given up with it.  Driver; only reads.

Refused for one that a launch could still finish: what it has decided would be lost for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from offsets import codec
from offsets.errors import DestinationExistsError, RegisterError, StagingLostError, StateDamagedError
from offsets.filesystems import Filesystem
from offsets.structs import Manifest, ManifestRef, StagedFile, State
from streaming.config.places import Places
from streaming.resetting.refusals import job_of
from streaming.resetting.values import GivenUp
from streaming.sinks.batch_log import REBUILD, REWOUND
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import batch_entry, encoded_topic, joined, parse_final_name
from streaming.sinks.parallel import in_parallel
from streaming.verification.reading import visible

DIRECT = "no launch has finished it, and what of it is written only the sink knows"


def give_up(places: Places, state: State, sink: StagedFileSink | None, changed: Callable[[], bool]) -> GivenUp:
    """What is lost with the pending batch.  Raises RegisterError, with the reason, unless nobody can finish it.

    FencedError if another driver has finished it meanwhile: the register has `changed`.
    """
    if state.pending is None:
        raise RegisterError("no batch is pending: there is nothing to discard", "leave out --discard-pending")
    if sink is None:
        raise RegisterError(
            "no sink is named, so nobody could tell what of it is visible", "name it: --sink URL, or the job file"
        )
    if state.pending.manifest is None:
        return _direct(places, state, sink)
    return _staged(places, state, state.pending.manifest, sink, changed)


def _direct(places: Places, state: State, sink: StagedFileSink) -> GivenUp:
    pending = state.pending
    if sink.find_written(state):
        raise _finishable(places, state, "it is logged, so all of it is written")
    path = batch_entry(state.generation, state.seq)
    if sink.filesystem.status(path) is not None:
        raise RegisterError(f"{sink.url}/{path} is of another batch: {REWOUND}", REBUILD)
    return GivenUp(state.seq, pending.ranges if pending else (), DIRECT, direct=True)


def _staged(
    places: Places, state: State, ref: ManifestRef, sink: StagedFileSink, changed: Callable[[], bool]
) -> GivenUp:
    logged = _logged(sink.filesystem, state, ref)
    manifest, why = logged, ""
    try:
        manifest = sink.read_manifest(ref, changed)
    except (StagingLostError, StateDamagedError) as e:
        why = str(e)
    else:
        why = next(
            filter(None, in_parallel(sink.filesystem.parallelism, _stopping(sink.filesystem), manifest.files)), ""
        )
    if not why:
        raise _finishable(places, state, "nothing of it is lost or in the way, so its files can be published")
    shown = _published(sink.filesystem, manifest) if manifest else _listed(sink.filesystem, state, ref)
    return GivenUp(state.seq, state.pending.ranges if state.pending else (), why, tuple(sorted(shown)))


def _finishable(places: Places, state: State, why: str) -> RegisterError:
    remedy = f"launch: run_stream.py {job_of(places)} --available-now; or reset without --discard-pending"
    return RegisterError(f"batch {state.seq} is not given up: {why}", remedy)


def _logged(filesystem: Filesystem, state: State, ref: ManifestRef) -> Manifest | None:
    """The batch's entry in the log, if it came so far.  DestinationExistsError if another batch's is there."""
    path = batch_entry(state.generation, state.seq)
    try:
        data = filesystem.read(path)
    except FileNotFoundError:
        return None
    found = codec.decode_manifest(data, f"{filesystem.url}/{path}")
    if (found.app, found.ranges) != (state.app, state.pending.ranges if state.pending else ()):
        raise DestinationExistsError(f"{filesystem.url}/{path} is of another batch: {REWOUND}", REBUILD)
    return found


def _stopping(filesystem: Filesystem) -> Callable[[StagedFile], str]:
    """What keeps a file from being published; nothing for one that is, or can be."""

    def look(file: StagedFile) -> str:
        staged = filesystem.status(file.staged)
        if staged is None:
            return ""
        if staged.is_directory or staged.length != file.length:
            return f"{filesystem.url}/{file.staged} has {staged.length} bytes, the manifest names {file.length}"
        if filesystem.status(file.final) is not None and filesystem.status(file.staged) is not None:
            return f"{filesystem.url}/{file.final} exists, and is not of this batch"
        return ""

    return look


def _published(filesystem: Filesystem, manifest: Manifest) -> Iterator[str]:
    """Of its files those that are there, unless what is to become them still waits."""

    def look(file: StagedFile) -> str:
        shown = filesystem.status(file.staged) is None and filesystem.status(file.final) is not None
        return file.final if shown else ""

    yield from filter(None, in_parallel(filesystem.parallelism, look, manifest.files))


def _listed(filesystem: Filesystem, state: State, ref: ManifestRef) -> Iterator[str]:
    """By their names: of its ranges, generation and epoch."""
    epoch = int(ref.path.split("/")[1])
    ranges = state.pending.ranges if state.pending else ()
    wanted = {(encoded_topic(r.topic), *r[1:], state.generation, epoch) for r in ranges}
    for folder, files in visible(filesystem):
        yield from (joined(folder, file.name) for file in files if parse_final_name(file.name) in wanted)
