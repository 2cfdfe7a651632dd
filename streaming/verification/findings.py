"""What a verification says: findings, each of which a person must look at, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from offsets.structs import GIVEN_UP, LostRange


class Finding(NamedTuple):
    """`kind`: one word, the same for the same trouble; `where`: a path, a partition or a batch; `told`: one line."""

    kind: str
    where: str
    told: str


class Vouched(NamedTuple):
    """The records [from_offset, until_offset) of one partition are in the files of this generation, each once.

    But for the holes, and for what is counted as repeated.
    """

    generation: int
    topic: str
    partition: int
    from_offset: int
    until_offset: int


UNPUBLISHED = "UNPUBLISHED"  # committed, and perhaps not published before a crash: at-most-once
_WHY = {UNPUBLISHED: "possibly lost by at-most-once in", GIVEN_UP: "with a batch that was pending before"}


class Hole(NamedTuple):
    """Records that are missing on purpose: a job that skips has begun this generation behind them (see `LostRange`).

    Of kind GIVEN_UP: before it; what it reads of them itself is not missing.
    Of kind UNPUBLISHED: records that may be missing, because at-most-once has committed them first.
    """

    generation: int
    kind: str
    topic: str
    partition: int
    from_offset: int
    until_offset: int

    def __str__(self) -> str:
        why = _WHY.get(self.kind, "skipped by")
        return f"{LostRange(*self[1:])}, {why} generation {self.generation}"


class InFlight(NamedTuple):
    """A prepared batch: that not all of its files are visible yet is as it should be."""

    batch: int
    published: int
    files: int


@dataclass
class Counts:
    """What the batches that are in the log have made.  `bad` rows are among `rows`; `moved`, `older`: files."""

    batches: int = 0
    files: int = 0
    rows: int = 0
    bad: int = 0
    records: int = 0
    bytes: int = 0
    moved: int = 0  # not there any more, and allowed to be so
    older: int = 0  # of batches that the log no longer has
    checked: int = 0  # whose checksum was compared
    repeated: int = 0  # of batches that were read again, and of those without an entry: at-least-once
    unlogged: int = 0  # batches that are committed without an entry, as weaker guarantees permit


@dataclass(frozen=True)
class Verdict:
    """`findings` is empty for a sink in order, whatever `holes` there are."""

    sink: str
    generation: int | None
    seq: int | None  # the batch that comes next
    oldest: int | None  # the oldest batch in the log
    vouched: tuple[Vouched, ...] = ()
    in_flight: InFlight | None = None
    counts: Counts = field(default_factory=Counts)
    holes: tuple[Hole, ...] = ()
    findings: tuple[Finding, ...] = ()
