"""Whether a launch may go on: register and sink must belong together.  Then it takes the register over.

A first launch is told from a lost register by the sink's marker; what does not match stops with exit 3, and is mended
only by a `--recover` that a person types (streaming.run.recovery).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from offsets.launching import Decision, first_launch
from offsets.manager import OffsetManager
from offsets.structs import State, TopicState
from streaming.config.job import JobConfig
from streaming.sinks.file import StagedFileSink


def admit(
    config: JobConfig,
    manager: OffsetManager,
    sink: StagedFileSink,
    state: State | None,
    start: Callable[[], Mapping[str, TopicState]],
    check: Callable[[Mapping[str, TopicState]], object],
) -> None:
    """Creates what a first launch needs, then takes the register (protocol step `take`).

    `state`: as `manager` has just read it; that nobody has written since, `take` proves.
    `start` says where a first launch begins; it is asked of no other.

    Raises RegisterError when register and sink do not belong together, and whatever `check` raises at the register's
    topics; then nothing was written.  A batch that is pending must be finished whatever Kafka still has: no check.
    """
    decision = first_launch(state, sink.marker(), config.job, config.store, config.sink_path)
    if state is not None and state.pending is None:
        check(state.topics)
    if decision is Decision.CREATE:
        manager.create(uuid.uuid4().hex, start())
    if decision is not Decision.TAKE:
        sink.write_marker(manager.state.app)
    manager.take()
