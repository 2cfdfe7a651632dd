"""The values that the rest of the package passes around.  All are frozen; none knows a client, a clock or a logger.

An *offset* is always the next record to read.  A range is ``[from_offset, until_offset)``: its length bounds a record
count and never equals one, because compacted, aborted and control records leave holes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EXACTLY_ONCE, AT_LEAST_ONCE, AT_MOST_ONCE = GUARANTEES = ("exactly-once", "at-least-once", "at-most-once")
# How a batch log says of a batch that it was committed with its rows, and so without an entry before its driver died.
TRANSACTIONAL_ONCE = "transactional exactly-once"


class TopicPartition(NamedTuple):
    """The field's own name and shape (kafka-python, Kafka's Java client)."""

    topic: str
    partition: int


class OffsetRange(NamedTuple):
    """The records of one partition from ``from_offset`` (inclusive) until ``until_offset`` (exclusive)."""

    topic: str
    partition: int
    from_offset: int
    until_offset: int

    @property
    def topic_partition(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)

    def size(self) -> int:
        """Offsets in the range: an upper bound of its records."""
        return self.until_offset - self.from_offset

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}[{self.from_offset},{self.until_offset})"


@dataclass(frozen=True)
class Loss:
    """Records of one partition that can no longer be read as the register expects.

    ``kind``: EXPIRED (the log starts after the committed offset), BEYOND_END (the log ends before it), TRUNCATED (an
    unclean election has put other records before it),
    VANISHED (the partition is gone), REPLACED (the topic has another id), TOPIC_MISSING.
    ``[lost_from, lost_until)``: what is lost, or cannot be vouched for; ``resume``: the first offset that is readable,
    -1 if there is none.  For topics as a whole, partition and all offsets are -1.
    """

    kind: str
    topic: str
    partition: int
    lost_from: int
    lost_until: int
    resume: int
    detail: str = ""

    def __str__(self) -> str:
        where = self.topic if self.partition < 0 else f"{self.topic}-{self.partition}"
        span = "" if self.partition < 0 else f" [{self.lost_from},{self.lost_until})"
        return f"{self.kind} {where}{span}" + (f" ({self.detail})" if self.detail else "")


GIVEN_UP = "GIVEN_UP"  # the kind of what a person has given up of a batch that was pending


class LostRange(NamedTuple):
    """What a job that skips has given up of one partition: ``[from_offset, until_offset)``, for one of Loss's kinds.

    Where both offsets are the same, nobody can say how much it was: all that the partition had from there on.
    Of kind GIVEN_UP it may be published in part, and the generation that begins behind it may read it again.
    """

    kind: str
    topic: str
    partition: int
    from_offset: int
    until_offset: int

    @property
    def topic_partition(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)

    def __str__(self) -> str:
        known = self.from_offset < self.until_offset
        span = f"[{self.from_offset},{self.until_offset})" if known else f"from {self.from_offset} on"
        return f"{self.kind} {self.topic}-{self.partition} {span}"


@dataclass(frozen=True)
class LossRecord:
    """What the sink keeps for ever of one skip: the losses behind which this generation has begun."""

    app: str
    generation: int
    losses: tuple[LostRange, ...]


@dataclass(frozen=True)
class Owner:
    """Who wrote a register or holds a lock: one run of one driver process."""

    host: str
    pid: int
    started: str  # ISO 8601, UTC, seconds
    run_id: str

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}, started {self.started}"


@dataclass(frozen=True)
class TopicState:
    """One topic of the register: its id (a recreated topic has another) and the next offset of each partition.

    `epochs`: of which leader epoch each partition's log was when its offset was last known to lie in it; a partition
    of which brokers do not tell is absent.
    """

    id: str
    offsets: Mapping[int, int]
    epochs: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StagedFile:
    """One file that a task attempt wrote, closed and measured.  Both paths are relative to the sink's root."""

    staged: str
    final: str
    length: int  # bytes
    crc32: int  # zlib.crc32 of the content
    count: int  # rows in the file
    bad: int = 0  # how many of them stand for records that the function could not use


@dataclass(frozen=True)
class Manifest:
    """All that a batch will publish, decided before anything of it is visible (protocol.md, step `manifest`).

    ``topics`` and ``schemas`` are the register's maps as the batch leaves them: a batch log entry alone can rebuild a
    lost register.
    """

    app: str
    generation: int
    epoch: int
    seq: int
    ranges: tuple[OffsetRange, ...]
    topics: Mapping[str, TopicState]
    files: tuple[StagedFile, ...]
    records: int  # fetched
    time_ms: int  # when the batch was planned, Unix epoch; pinned here so that a redo never asks a clock
    schemas: Mapping[str, str] = field(default_factory=dict)
    guarantee: str = EXACTLY_ONCE  # under which the batch was read: one of GUARANTEES, or TRANSACTIONAL_ONCE


@dataclass(frozen=True)
class ManifestRef:
    """Where a manifest lies (relative to the sink's root) and what it must contain."""

    path: str
    sha256: str
    files: int


@dataclass(frozen=True)
class Pending:
    """A batch that is decided but not committed.  ``manifest`` is None for direct sinks."""

    ranges: tuple[OffsetRange, ...]
    manifest: ManifestRef | None


@dataclass(frozen=True)
class State:
    """The register: one value, always replaced whole, only by compare-and-set (protocol.md section 1).

    ``epoch`` 0 means created but never taken: only then may the sink's marker still be missing.
    ``seq`` is the number of the next batch; it grows for ever, also across generations.
    """

    app: str  # uuid4 hex of the application; the sink's marker carries the same
    generation: int
    epoch: int
    owner: Owner
    nonce: str  # one per transition, kept when the same bytes are sent again (rule U)
    seq: int
    topics: Mapping[str, TopicState]
    pending: Pending | None = None
    step: str = "create"  # which transition wrote this: create, take, prepare, commit, reset, rebuild, skip
    time_ms: int = 0  # when, by the writer's clock: for people, never for decisions
    committed_ms: int = 0  # when the last COMMIT was written, 0 if never
    reason: str = field(default="")  # of a reset: who, when and why
    schemas: Mapping[str, str] = field(default_factory=dict)  # by table, once and for ever; text that only sinks read
    # Of a skip, or of a reset that has given up a batch; sorted by partition; until the first batch of its generation.
    losses: tuple[LostRange, ...] = ()
    # The topics as a reset has found them, until the first batch of its generation: what an undo goes back to.
    before: Mapping[str, TopicState] | None = None
