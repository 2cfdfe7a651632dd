"""What passes between those who choose a register's new offsets and what executes the reset.  All frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from offsets.reset import Reset
from offsets.structs import Manifest, OffsetRange, State

Choose = Callable[[State], Reset]
"""From the register, in which nothing is pending, to where it shall go on.

Called twice: before anything is written, with the register as it will be once a pending batch is committed or given up
(what it raises then leaves everything as it was, the epoch too), and with the register that was taken.  The second is
executed.
"""


@dataclass(frozen=True)
class Doubled:
    """Published files with records that the new generation will publish again.  `files`: the newest few of `count`."""

    files: tuple[str, ...] = ()  # final names, relative to the sink's root
    count: int = 0
    complete: bool = True  # False: the batch log no longer tells of all batches, or there is no sink to look at


@dataclass(frozen=True)
class GivenUp:
    """A pending batch that nobody can finish.  `why`: what stops it.

    `visible`: final names of its files that are published, relative to the sink's root.  `direct`: it has none, and
    what of it is in the sink only the sink knows.
    """

    seq: int
    ranges: tuple[OffsetRange, ...]
    why: str
    visible: tuple[str, ...] = ()
    direct: bool = False

    def __str__(self) -> str:
        return f"batch {self.seq} given up: {', '.join(map(str, self.ranges)):.500}"


@dataclass(frozen=True)
class Done:
    """A reset that stands."""

    before: State  # taken, nothing pending any more: where the old generation has ended
    state: State  # the first one of the new generation
    chosen: Reset
    redone: Manifest | None  # the prepared batch that was published and committed first
    doubled: Doubled
    undo_command: str
    given_up: GivenUp | None = None
    notes: tuple[str, ...] = ()  # for people: what else they should know, a line each
