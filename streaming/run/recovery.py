"""What `--recover` does, when a person has typed it: mends register or marker.

Rebuilds only from what the sink itself has kept; never overwrites a register or a marker that is in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from offsets.errors import RegisterError
from offsets.manager import OffsetManager
from offsets.structs import AT_MOST_ONCE, EXACTLY_ONCE, TRANSACTIONAL_ONCE, Manifest
from streaming.config.job import JobConfig
from streaming.sinks.batch_log import LoggedBatch
from streaming.sinks.direct import declaration
from streaming.sinks.file import StagedFileSink
from streaming.sinks.names import MARKER


def mend(recover: str | None, config: JobConfig, manager: OffsetManager, sink: StagedFileSink) -> None:
    """Does what a person asked for by `--recover register` or `--recover marker`; nothing otherwise."""
    if mender := MENDERS.get(recover or ""):
        mender(config, manager, sink)


def recover_register(config: JobConfig, manager: OffsetManager, sink: StagedFileSink) -> None:
    """Rebuilds a lost or damaged register from the sink's marker and the newest entry of its batch log.

    Without that batch's staging it counts as committed, which must show: RegisterError if a file of it is not there.
    Under a weaker guarantee the entry itself says so.
    """
    newest = newest_batch(config, sink)
    refuse_unlogged(config, sink, newest)
    committed = newest.manifest.guarantee != EXACTLY_ONCE
    unseen = () if newest.staged or committed else missing_files(sink, newest)
    if unseen:
        raise RegisterError(
            f"batch {newest.manifest.seq} of {sink.url} is neither in staging nor published: {len(unseen)} of "
            f"{len(newest.manifest.files)} files are not there, first {unseen[0]}",
            "if consumers have moved them away, it is published: run_stream.py "
            f"{config.job} --recover register-as-published; if not, restore staging or the files first",
        )
    manager.rebuild(newest.manifest, newest.staged)


def recover_register_as_published(config: JobConfig, manager: OffsetManager, sink: StagedFileSink) -> None:
    """The same, when a person vouches that every file of the newest batch was published."""
    newest = newest_batch(config, sink)
    manager.rebuild(newest.manifest, newest.staged)


def newest_batch(config: JobConfig, sink: StagedFileSink) -> LoggedBatch:
    """What a register can be rebuilt from.  RegisterError if there is nothing, or nothing that belongs together."""
    app, newest = sink.marker(), sink.newest_batch()
    if app is None or newest is None:
        raise RegisterError(
            f"{sink.url} has no {'batch log' if app else 'marker'} to rebuild a register from",
            f"if nothing was ever published there, delete what is left of the register in {config.store} and "
            f"{sink.url}/{MARKER}, then launch without --recover: a first launch; if files were published, "
            "restore what is missing from a backup, or begin anew with another [offsets] store and [sink] path, after "
            "the offsets that their names end with",
        )
    if newest.manifest.app != app:
        told = f"marker and {newest.path} of {sink.url} are of different applications"
        raise RegisterError(told, "restore the one that belongs there")
    refuse_written(config, sink, newest)
    return newest


def refuse_written(config: JobConfig, sink: StagedFileSink, newest: LoggedBatch) -> None:
    """Raises RegisterError where the batch behind the newest entry may be written, and must not be once more.

    A direct sink's batch is logged when it is written; at-most-once has committed it before, in the register only.
    """
    if config.sink_class is None or config.guarantee != AT_MOST_ONCE or config.start_fresh:
        return
    raise RegisterError(
        f"the batch behind {sink.url}/{newest.path} may be written by {config.sink_class}, and {AT_MOST_ONCE} "
        "must not write it twice: nothing but the lost register knows",
        "go on at the end of what Kafka has, without all that lies between: run_stream.py "
        f"{config.job} --recover register --set source.startFresh=true --set source.startingOffsets=latest",
    )


def refuse_unlogged(config: JobConfig, sink: StagedFileSink, newest: LoggedBatch) -> None:
    """Raises RegisterError where the batch behind the newest entry may have been committed with its rows."""
    if not shares_transactions(config, newest.manifest):
        return
    topics = newest.manifest.topics
    ends = ", ".join(f"{name}-{p}: {at}" for name, t in topics.items() for p, at in t.offsets.items())
    raise RegisterError(
        f"rows of a batch behind {sink.url}/{newest.path} may be in the database: nothing but the lost register knows",
        "restore register and rows from one backup of the database, and launch as ever; without one, delete the rows "
        f"of these offsets and later ones ({ends:.500}), and go on there: run_stream.py {config.job} --recover "
        "register-as-published",
    )


def shares_transactions(config: JobConfig, newest: Manifest) -> bool:
    """Whether batches behind it may be committed with their rows.  Of the trace of a reset only the job says that."""
    if newest.ranges or config.sink_class is None:
        return newest.guarantee == TRANSACTIONAL_ONCE
    return declaration(config.sink_class).transactional


def missing_files(sink: StagedFileSink, batch: LoggedBatch) -> list[str]:
    """Final names of the batch that are not to be seen."""
    return [file.final for file in batch.manifest.files if sink.filesystem.status(file.final) is None]


def recover_marker(config: JobConfig, manager: OffsetManager, sink: StagedFileSink) -> None:
    """Writes the sink's marker anew, from the register."""
    state, app = manager.read(), sink.marker()
    if state is None or app is not None:
        missing = "no register" if state is None else "a marker already"
        raise RegisterError(f"{sink.url}: there is {missing}, so no marker can be written", "run without --recover")
    sink.write_marker(state.app)


MENDERS: Mapping[str, Callable[[JobConfig, OffsetManager, StagedFileSink], None]] = {
    "register": recover_register,
    "register-as-published": recover_register_as_published,
    "marker": recover_marker,
}
RECOVERIES = tuple(MENDERS)
