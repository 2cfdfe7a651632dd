"""How a job stands, as values.  Pure: times are milliseconds since the Unix epoch, and `now` is always given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from offsets.snapshot import TopicSnapshot
from offsets.structs import LossRecord, Owner, State, TopicState
from streaming.config.values import SECONDS
from streaming.sinks.pause import Pause
from streaming.source.open_transactions import Held


class Row(NamedTuple):
    """One partition.  None: the register has it not yet, or Kafka has it not (any more), or did not say."""

    topic: str
    partition: int
    current: int | None
    end: int | None

    @property
    def lag(self) -> int | None:
        """Records at most, as aborted and control records count; below 0 if the log ends before the offset."""
        return None if self.current is None or self.end is None else self.end - self.current


@dataclass(frozen=True)
class Overview:
    """`unseen`: what did not answer, one line each; `notes`: what a person should know beside the numbers."""

    job: str
    store: str
    sink: str
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


def rows(known: Mapping[str, TopicState], snapshot: Mapping[str, TopicSnapshot]) -> Iterator[Row]:
    """Every partition that the register or Kafka knows, in order."""
    for topic in sorted({*known, *snapshot}):
        current = known[topic].offsets if topic in known else {}
        ends = {p: end for p, (_, end) in snapshot[topic].partitions.items()} if topic in snapshot else {}
        for partition in sorted({*current, *ends}):
            yield Row(topic, partition, current.get(partition), ends.get(partition))


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
    if report.get("exitStatus") != 0:
        return None
    try:
        began = datetime.fromisoformat(str(report["timestamp"]).replace("Z", "+00:00"))
        return round(began.timestamp() * 1000) + int(report["durationMs"]["run"])
    except (KeyError, TypeError, ValueError):  # not one of ours
        return None


def too_old(overview: Overview, seconds: float) -> bool:
    """Whether the last success is longer ago than that, or there never was one."""
    return overview.last_success is None or overview.now - overview.last_success > seconds * 1000


def iso(time_ms: int | None) -> str | None:
    """UTC, to the second; None for never."""
    return datetime.fromtimestamp(time_ms / 1000, timezone.utc).isoformat(timespec="seconds") if time_ms else None


def ago(time_ms: int, now: int) -> str:
    """For people, in the unit that fits."""
    seconds = max(now - time_ms, 0) // 1000
    unit = next((u for u in "dhm" if seconds >= 2 * SECONDS[u]), "s")
    return f"{seconds // SECONDS[unit]}{unit} ago"
