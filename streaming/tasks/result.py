"""What a task reports to the driver.  A value; pickled on executors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from offsets.structs import OffsetRange, StagedFile


@dataclass(frozen=True)
class TaskResult:
    """What a task reports of its range: one per partition, whatever was retried or speculated."""

    range: OffsetRange
    files: tuple[StagedFile, ...]
    records: int  # fetched
    filtered: int  # for which the function returned nothing
    bad: int  # of which `quarantined` and `skipped` are in no data file; the others the function has marked itself
    times: Mapping[str, float] = field(default_factory=dict)  # seconds by step
    quarantined: int = 0
    skipped: int = 0
    first_bad: str = ""  # of those two: where it lies and what is wrong with it
    schemas: Mapping[str, str] = field(default_factory=dict)  # under which tables were written; text, by table
    written: int = 0  # given to a direct sink
    value: Any = None  # what a transactional sink is told of it again inside its transaction
    inferred: Mapping[str, str] | None = None  # of tables not known yet, perhaps none: then nothing was staged
