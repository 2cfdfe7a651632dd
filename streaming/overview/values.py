"""How a job stands, as values.  Pure: times are milliseconds since the Unix epoch, and `now` is always given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from offsets.snapshot import TopicSnapshot
from offsets.structs import LossRecord, Owner, Pending, State, TopicPartition, TopicState
from streaming.sinks.pause import Pause
from streaming.source.open_transactions import Held


class Row(NamedTuple):
    """One partition.  None: the register has it not yet, or Kafka has it not (any more), or did not say.

    `start`, `end`: of the log, as Kafka's own tools show them; `stable`: how far readers of committed records get;
    `pending`: until where the batch in flight reads.  `time_lag`: how old the next record is, `time_left`: when Kafka
    will have deleted it, if it goes on as until now; both in seconds, None where not known, or nothing is to be read.
    """

    topic: str
    partition: int
    current: int | None
    start: int | None = None
    end: int | None = None
    stable: int | None = None
    pending: int | None = None
    time_lag: float | None = None
    time_left: float | None = None

    @property
    def at(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)

    @property
    def lag(self) -> int | None:
        """Records at most, as aborted and control records count; below 0 if the log ends before the offset."""
        return None if self.current is None or self.end is None else self.end - self.current


@dataclass(frozen=True)
class Overview:
    """`unseen`: what did not answer, one line each; `notes`: what a person should know beside the numbers."""

    job: str
    store: str
    sink: str | None  # None: nobody has named it
    now: int
    register: State | None
    rows: tuple[Row, ...] = ()
    holder: Owner | None = None
    moves: bool = False  # whether the register has changed while it was looked at
    pause: Pause | None = None
    last_success: int | None = None
    losses: LossRecord | None = None  # the last ones that were skipped
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    held: Held = field(default_factory=dict)  # by open transactions

    @property
    def lag(self) -> int | None:
        """Of all partitions; None unless each is known."""
        lags = [row.lag for row in self.rows]
        return None if self.unseen or None in lags else sum(max(lag or 0, 0) for lag in lags)

    @property
    def behind_transactions(self) -> int | None:
        """How many records lie behind last stable offsets; None if that is not known of any partition."""
        found = [row.end - row.stable for row in self.rows if row.end is not None and row.stable is not None]
        return sum(found) if found else None

    @property
    def next_loss(self) -> Row | None:
        """The partition that has the least time left."""
        known = [(row.time_left, row) for row in self.rows if row.time_left is not None]
        return min(known)[1] if known else None


def rows(
    known: Mapping[str, TopicState], snapshot: Mapping[str, TopicSnapshot], pending: Pending | None = None
) -> Iterator[Row]:
    """Every partition that the register or Kafka knows, in order; without times."""
    until = {r.topic_partition: r.until_offset for r in pending.ranges} if pending else {}
    for topic in sorted({*known, *snapshot}):
        current = known[topic].offsets if topic in known else {}
        seen = snapshot.get(topic) or TopicSnapshot("", {})
        for partition in sorted({*current, *seen.partitions}):
            start, stable = seen.partitions.get(partition, (None, None))
            end = stable if stable is None else max(stable, seen.high_watermarks.get(partition, stable))
            at = TopicPartition(topic, partition)
            yield Row(*at, current.get(partition), start, end, stable, until.get(at))


def strangers(known: Mapping[str, TopicState], snapshot: Mapping[str, TopicSnapshot]) -> Iterator[str]:
    """Topics that Kafka no longer has, or has anew: their offsets say nothing."""
    for topic, state in sorted(known.items()):
        if topic not in snapshot:
            yield f"Kafka has no topic {topic} (any more)"
        elif snapshot[topic].id != state.id:
            yield f"topic {topic} was recreated: its id is {snapshot[topic].id}, the register knows {state.id}"


def last_success(register: State | None, reports: Iterable[Mapping[str, Any]]) -> int | None:
    """The last commit, or the end of the newest run that exited 0; `reports` begin with the newest."""
    committed = register.committed_ms if register else 0
    ended = next((end for report in reports if (end := successful_end(report)) is not None), 0)
    return max(committed, ended) or None


def successful_end(report: Mapping[str, Any]) -> int | None:
    """When that run ended, if it exited 0."""
    return end_of(report) if report.get("exitStatus") == 0 else None


def end_of(report: Mapping[str, Any]) -> int | None:
    """When that run ended."""
    try:
        began = datetime.fromisoformat(str(report["timestamp"]).replace("Z", "+00:00"))
        return round(began.timestamp() * 1000) + int(report["durationMs"]["run"])
    except (KeyError, TypeError, ValueError):  # not one of ours
        return None


def too_old(overview: Overview, seconds: float) -> bool:
    """Whether the last success is longer ago than that, or there never was one."""
    return overview.last_success is None or overview.now - overview.last_success > seconds * 1000


def too_near(overview: Overview, seconds: float) -> Iterator[Row]:
    """The partitions whose next record Kafka will have deleted in less than that."""
    yield from (row for row in overview.rows if row.time_left is not None and row.time_left < seconds)
