"""When the next batch may be planned, and when a run has lasted long enough.  Plain arithmetic on seconds that the
caller's clock gives; waits for nothing itself.

Spark's ticks have no say in it.  A batch is due an interval after the one before it was planned, or at once where that
would only waste time: while the limits leave records for a next batch, or in a run that ends where there are no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from offsets.planning import Plan


@dataclass(frozen=True)
class Pace:
    """How a run goes.  Seconds."""

    interval: float
    rated: bool = False  # records per second are limited: holds over wall time only if every batch keeps the interval
    to_ends: bool = False  # an --available-now run, over when nothing is left
    duration: float | None = None  # --duration, counted from the first tick


class Pacing:
    """One run's pace.  `now` is always the same clock's, which never goes back.  Not for two threads at once."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._deadline = inf
        self.due = -inf  # when the next batch may be planned
        self.late = 0.0  # how long after it was due the last one was planned

    def begin(self, now: float) -> None:
        """The first tick, from which the run's duration counts; more of them change nothing."""
        if self._deadline == inf and self.pace.duration is not None:
            self._deadline = now + self.pace.duration

    def planned(self, plan: Plan, now: float) -> None:
        """A batch was planned, perhaps an empty one, when it was `now`."""
        self.late = max(0.0, now - self.due) if self.due > -inf else 0.0
        self.due = now if self._at_once(plan) else now + self.pace.interval

    def over(self, now: float) -> str | None:
        """Why no further batch may be planned, if that is so."""
        return f"drained after the {self.pace.duration:g} s of --duration" if now >= self._deadline else None

    def _at_once(self, plan: Plan) -> bool:
        return not self.pace.rated if plan.left else self.pace.to_ends
