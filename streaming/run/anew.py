"""Generations that begin by a reset: source.startFresh's, and the trace that each leaves in the sink.  Driver only."""

from __future__ import annotations

from collections.abc import Mapping

from offsets.manager import OffsetManager
from offsets.snapshot import Snapshot
from offsets.starting import starting_topics
from offsets.structs import TopicState
from streaming.config.job import JobConfig
from streaming.sinks.file import StagedFileSink
from streaming.source.subscription import merged


def begin_anew(
    config: JobConfig, manager: OffsetManager, sink: StagedFileSink, snapshot: Snapshot, run_id: str
) -> None:
    """Begins the generation that source.startFresh asks for; nothing otherwise."""
    if config.start_fresh:
        topics = latest_topics(config, manager.state.topics, snapshot)
        manager.reset(topics, f"source.startFresh, run {run_id}")
        trace_reset(manager, sink)


def latest_topics(
    config: JobConfig, committed: Mapping[str, TopicState], snapshot: Snapshot
) -> Mapping[str, TopicState]:
    """The register's topics with all that the job reads at its end in `snapshot`, whatever was committed."""
    return merged(config.subscription, committed, starting_topics("latest", snapshot))


def trace_reset(manager: OffsetManager, sink: StagedFileSink) -> None:
    """The batch log's entry of a reset behind which nothing was committed yet.

    Raises FencedError for a driver that slept and was overtaken: it writes nothing any more.
    """
    manager.read()
    sink.log_reset(manager.state)


def trace_again(manager: OffsetManager, sink: StagedFileSink) -> None:
    """The same for the next launch, as a crash may have left it out; nothing otherwise."""
    if manager.state.before is not None:
        trace_reset(manager, sink)
