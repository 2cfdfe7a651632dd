"""What a run's own log lines say of its batches.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

_LINE = re.compile(r"^(\S+ \S+) INFO batch \d+: ([\d,]+) records in ([\d.]+) s .*; ms: (.*)$")
_CLOCK = "%Y-%m-%d %H:%M:%S,%f"
GAP, START = "gap", "start"


@dataclass(frozen=True)
class Batch:
    """Seconds; `steps` in ms.  `ended` is when the line was written, right after the commit."""

    records: int
    seconds: float
    ended: float
    steps: dict[str, int]


def batches_in(log: str) -> list[Batch]:
    """Of every batch line, in order."""
    found = (_LINE.match(line) for line in log.splitlines())
    return [
        Batch(
            int(each[2].replace(",", "")),
            float(each[3]),
            datetime.strptime(each[1], _CLOCK).timestamp(),
            {name: int(ms) for name, _, ms in (step.partition("=") for step in each[4].split())},
        )
        for each in found
        if each
    ]


def rate(batches: Sequence[Batch]) -> float:
    """Records per second from the commit of the first batch, in which workers start, to that of the last."""
    return sum(b.records for b in batches[1:]) / (batches[-1].ended - batches[0].ended)


def where_time_goes(batches: Sequence[Batch]) -> dict[str, int]:
    """Median ms by step.  `start`: in no step, as from the plan to the first task; `gap`: from a commit to the plan.

    `tasks.STEP` is of all tasks of a batch together, which run side by side within `stage`.
    """
    names = dict.fromkeys(name for b in batches for name in b.steps)
    steps = {name: _median(b.steps.get(name, 0) for b in batches) for name in names}
    between = (later.ended - later.seconds - earlier.ended for earlier, later in pairwise(batches))
    in_no_step = (b.seconds * 1000 - sum(ms for name, ms in b.steps.items() if "." not in name) for b in batches)
    return {**steps, START: _median(in_no_step), GAP: _median(s * 1000 for s in between)}


def _median(values: Iterable[float]) -> int:
    found = list(values)
    return round(median(found)) if found else 0
