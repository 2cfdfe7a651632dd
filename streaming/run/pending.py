"""A direct sink's batch that a crash left pending: parts of it may be written, so only writing it again can finish it.

The run's first batch does that, with exactly these ranges.  A launch that could not is refused before it writes.
Also the way out for a batch, of any sink, that nobody can finish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from offsets.errors import (
    DestinationExistsError,
    RegisterError,
    StagedDamagedError,
    StagingLostError,
    StateDamagedError,
    StreamError,
)
from offsets.planning import Plan
from offsets.structs import AT_MOST_ONCE, State
from streaming.config.job import JobConfig
from streaming.sinks.direct import declaration

AS_BEFORE = "launch once with the sink and the guarantee that the job had: that finishes the batch"


def written_again(state: State) -> Plan | None:
    """The batch that must come first; None if no direct sink's batch is pending.

    `left`: nobody has looked how much there is behind it.
    """
    if state.pending is None or state.pending.manifest is not None:
        return None
    return Plan(state.pending.ranges, state.topics, left=1)


def unwritable(state: State, loss: StreamError, job: str) -> StreamError:
    """`loss`, or what it means if it keeps such a batch from being written: every launch would meet it again."""
    if (plan := written_again(state)) is None:
        return loss
    ranges = ", ".join(map(str, plan.ranges))
    return RegisterError(f"{loss}; batch {state.seq} of a direct sink stays pending for it: {ranges}", way_out(job))


def way_out(told: str) -> str:
    """Of a batch that stays pending, behind what would mend it.  `told`: job or places, as commands name them."""
    return (
        f"if it can never be finished: reset_offsets.py {told} --all-topics --to-current --discard-pending shows what "
        "is lost by giving it up, and with --execute gives it up; what of it is in the sink stays there"
    )


@contextmanager
def way_out_told(told: str) -> Iterator[None]:
    """The same behind the remedy of what keeps a prepared batch from being published."""
    try:
        yield
    except (DestinationExistsError, StagedDamagedError, StagingLostError, StateDamagedError) as e:
        e.remedy = "; ".join(filter(None, (e.remedy, way_out(told))))
        raise


def refuse_pending(config: JobConfig, state: State | None) -> None:
    """Raises RegisterError, which names the ranges, if such a batch is pending and this launch must not write it."""
    if state is None or (plan := written_again(state)) is None:
        return
    if (why := _refusal(config)) is not None:
        ranges, (reason, remedy) = ", ".join(map(str, plan.ranges)), why
        told = f"batch {state.seq} of a direct sink is pending and may be written in part: {ranges}; {reason}"
        raise RegisterError(told, remedy)


def _refusal(config: JobConfig) -> tuple[str, str] | None:
    """Why not, and what to do."""
    if config.sink_class is None:
        return (
            "this job has no sink.class that could write it again",
            "set sink.class as it was and launch: it writes exactly these ranges again and commits them",
        )
    if config.start_fresh:
        return "source.startFresh = true would leave it so", "launch once without it: that finishes the batch"
    declared = declaration(config.sink_class)
    if declared.transactional:
        return f"{config.sink_class} cannot know of it, its rows come with their offsets", AS_BEFORE
    if config.guarantee == AT_MOST_ONCE and not declared.idempotent:
        why = f"{config.sink_class} is not idempotent, and job.delivery.guarantee = {AT_MOST_ONCE} must double nothing"
        return why, AS_BEFORE
    return None
