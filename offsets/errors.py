"""Everything that stops a run, with what went wrong as fields and what to do next as ``remedy``.

``retriable``: the same call may succeed later without anybody's help.  ``exit_status``: what a script exits with.
"""

from __future__ import annotations

from collections.abc import Sequence

from offsets.structs import Loss, OffsetRange, Owner


class StreamError(Exception):
    """Root of all errors of this project.  ``str(error)`` is one line; ``remedy`` says how to go on."""

    retriable = False
    exit_status = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigError(StreamError):
    """The job file or the command line is wrong; ``problems`` names every mistake, found before any connection."""

    exit_status = 2

    def __init__(self, problems: Sequence[str], remedy: str = "") -> None:
        super().__init__("; ".join(problems), remedy)
        self.problems = tuple(problems)


class DataLossError(StreamError):
    """The log no longer has what the register expects.  Nothing was written; nothing is skipped by itself."""

    exit_status = 3

    def __init__(self, losses: Sequence[Loss], remedy: str = "") -> None:
        super().__init__("data loss: " + "; ".join(map(str, losses)), remedy)
        self.losses = tuple(losses)


class RegisterError(StreamError):
    """Register and sink do not belong together, or one of them is missing or damaged: a person decides."""

    exit_status = 3


class StateDamagedError(RegisterError):
    """Bytes that are not a register or manifest of a known format with a right checksum.  Never guessed at."""


class ForeignStateError(StateDamagedError):
    """Bytes of another program, of another kind, or of a newer format: may be whole, so never replaced by a repair."""


class ProtocolError(StreamError):
    """A step that the register does not allow now: a defect in the caller.  Nothing was written."""


class StagingLostError(RegisterError):
    """A prepared batch's staged files are gone although the batch is still pending (rule M)."""


class StagedDamagedError(RegisterError):
    """A staged file does not have the length that its manifest names."""


class DestinationExistsError(RegisterError):
    """A final name is taken while its source still waits in staging: somebody else's file.  Never overwritten."""


class UnavailableError(StreamError):
    """A server did not answer before the deadline.  The outcome of what was asked is not known or was not done."""

    retriable = True
    exit_status = 69


class FencedError(StreamError):
    """Another driver has written the register since this one last did.  Leave, and delete nothing (rule F)."""

    exit_status = 75


class AlreadyRunningError(StreamError):
    """Another run holds the lock and is not known to be dead."""

    exit_status = 75

    def __init__(self, holder: Owner | None, last_commit: str, waited: float) -> None:
        who = str(holder) if holder else "a run that has not said who it is"
        super().__init__(
            f"another run holds the lock: {who}, last commit {last_commit} (waited {waited:.0f} s)",
            "nothing to do if that run is healthy; the next launch takes over by itself when it ends",
        )
        self.holder, self.waited = holder, waited


class StoreError(StreamError):
    """The offset store refused: no rights, no space, or a path that is not what it should be."""


class SinkError(StreamError):
    """The sink refused: no rights, no space, or a path that is not what it should be."""


class BadRecordError(StreamError):
    """A record that the function or the format cannot take.  The batch fails; nothing of it is visible."""

    def __init__(self, topic: str, partition: int, offset: int, why: str, remedy: str = "") -> None:
        super().__init__(f"bad record {topic}-{partition} offset {offset}: {why}", remedy)
        self.topic, self.partition, self.offset = topic, partition, offset


class BatchError(StreamError):
    """A batch failed in Spark or in the user's function."""


class LostBatchError(StreamError):
    """A batch failed whose offsets were committed before it was read (at-most-once): no launch reads it again."""

    def __init__(self, failure: StreamError, seq: int, ranges: Sequence[OffsetRange]) -> None:
        lost = ", ".join(map(str, sorted(ranges)))
        told = f"batch {seq} was committed first, and what of it is not in the sink by now is lost: {lost}"
        later = "whatever is done, the next launch goes on behind this batch"
        super().__init__(f"{failure}; {told}", "; ".join(filter(None, (failure.remedy, later))))
        self.exit_status, self.retriable = failure.exit_status, failure.retriable
        self.ranges = tuple(sorted(ranges))
