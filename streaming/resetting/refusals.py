"""What speaks against a reset as register and sink are now.  Raises before anything is written."""

from __future__ import annotations

from collections.abc import Callable

from offsets.errors import RegisterError
from offsets.launching import Decision, first_launch
from offsets.protocol import phase
from offsets.structs import State
from streaming.config.places import Places
from streaming.run.pending import way_out
from streaming.sinks.file import StagedFileSink


def check_places(places: Places, state: State | None, sink: StagedFileSink | None) -> State:
    """The register, which is there and belongs to the sink.  Raises RegisterError.

    Also where the sink's batch log knows more than the register: that one was put back from a copy.
    """
    if sink is None:
        return check_register(places, state)
    decision = first_launch(state, sink.marker(), job_of(places), places.store, sink.url)
    found = check_register(places, state)
    if decision is Decision.MARK:
        told = f"the first launch of the job has written {places.store}, and died before it wrote {sink.url}'s marker"
        raise RegisterError(told, "launch the job: that goes on from there")
    sink.check_writable()
    sink.refuse_logged(found.generation, found.seq + (found.pending is not None))
    return found


def check_register(places: Places, state: State | None) -> State:
    """The register, if there is one.  Raises RegisterError."""
    if state is None:
        told = f"{places.store} holds no register: there is nothing to reset"
        raise RegisterError(told, "launch the job: where its first launch begins is what source.startingOffsets says")
    return state


def check_pending(places: Places, state: State, sink: StagedFileSink | None) -> None:
    """Raises RegisterError if what the register still owes to the sink cannot be settled from here."""
    if sink is None:
        if owed := _owed(state):
            raise RegisterError(
                f"{owed}, and no sink is named to settle that in", "name it: --sink URL, or the job file"
            )
        return
    if state.pending is None or state.pending.manifest is not None or sink.find_written(state):
        return
    ranges = ", ".join(map(str, state.pending.ranges))
    raise RegisterError(
        f"batch {state.seq} of a direct sink is pending, and only that sink can finish what may be written: {ranges}",
        f"launch once, with the sink as it was: run_stream.py {job_of(places)} --available-now; that writes exactly "
        f"these ranges again and commits them; then reset; {way_out(places.told)}",
    )


def check_staged(state: State, sink: StagedFileSink | None, changed: Callable[[], bool]) -> None:
    """Raises StagingLostError or StateDamagedError where the prepared batch could not be published after all.

    FencedError if its manifest is gone because the register has `changed`: a run has published it meanwhile.
    """
    if sink is not None and state.pending and state.pending.manifest:
        sink.read_manifest(state.pending.manifest, changed)


def _owed(state: State) -> str:
    if state.pending is not None:
        return f"batch {state.seq} is pending: {', '.join(map(str, state.pending.ranges)):.500}"
    if state.losses:
        return f"what generation {state.generation} has skipped may not be written down yet"
    return "the register was never taken" if phase(state) == "created" else ""


def job_of(places: Places) -> str:
    """The job file, for commands that a person types."""
    return places.config.job if places.config else "JOB.cfg"
