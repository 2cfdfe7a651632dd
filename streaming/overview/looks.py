"""The looks at store, Kafka and sink from which an overview is made.  Takes no lock, writes nothing, never retries.

The store must answer; what Kafka or the sink do not say is left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from offsets.codec import decode_state
from offsets.errors import StreamError
from offsets.filesystems import open_filesystem
from offsets.snapshot import Snapshot
from offsets.stores.base import OffsetStore
from offsets.structs import LossRecord, State
from streaming.config.places import Places
from streaming.config.scope import Scope, within
from streaming.overview.next_records import next_times
from streaming.overview.retention import rates, time_left
from streaming.overview.values import Overview, Row, last_success, rows, strangers
from streaming.run.pausing import pause_in_force
from streaming.sinks.losses import last_losses
from streaming.sinks.pause import Pause
from streaming.sinks.runs import KeptReports, Report
from streaming.source.broker import Broker
from streaming.source.open_transactions import Held, held_back, reported, told

T = TypeVar("T")
ANSWER_SECONDS = 10.0
MOMENT_SECONDS = 2.0  # between two looks at a register that somebody holds


@dataclass(frozen=True)
class Sight:
    """What a sink says of its job."""

    pause: Pause | None = None
    last_success: int | None = None
    losses: LossRecord | None = None
    held: Held | None = None
    earlier: tuple[Report, ...] = ()  # a few reports of runs, the oldest first


def look(
    places: Places, store: OffsetStore, scope: Scope | None = None, sleep: Callable[[float], None] = time.sleep
) -> Overview:
    """How the job stands; the partitions in `scope` alone, if there is one.

    Raises what the store has to say: unavailable, damaged; ConfigError for what is in scope and nowhere else.
    """
    unseen: list[str] = []
    began, before, holder = time.monotonic(), register(store, places), store.holder()
    known = before.topics if before else {}
    snapshot = attempt(lambda: ask_kafka(places.kafka, sorted(known)), unseen) if known and places.kafka else None
    sight = (places.sink and attempt(lambda: ask_sink(places.sink or "", before, unseen), unseen)) or Sight()
    held = held_back(snapshot or {}, sight.held or {}, time.time())
    if holder:
        sleep(max(0.0, MOMENT_SECONDS - (time.monotonic() - began)))
    after, now = register(store, places), time.time_ns() // 1_000_000
    found = rows(after.topics if after else {}, snapshot or {}, after.pending if after else None)
    shown = chosen(list(found), scope)
    return Overview(
        job=places.name,
        store=places.store,
        sink=places.sink,
        now=now,
        register=after,
        rows=timed(shown, places.kafka if snapshot else None, sight.earlier, now),
        holder=store.holder() if holder else None,
        moves=(before and before.nonce) != (after and after.nonce),
        pause=sight.pause,
        losses=sight.losses,
        last_success=max(filter(None, (sight.last_success, last_success(after, ()))), default=None),
        unseen=tuple(unseen),
        notes=(*strangers(known, snapshot), *told(held, time.time())) if snapshot is not None else (),
        held=held,
    )


def register(store: OffsetStore, places: Places) -> State | None:
    found = store.load()
    return decode_state(found.state, f"the register in {store.url}", places.told) if found else None


def ask_kafka(kafka: Mapping[str, str], topics: Sequence[str]) -> Snapshot:
    with closing(Broker(kafka, ANSWER_SECONDS)) as broker:
        return broker.snapshot(topics)


def ask_sink(url: str, register: State | None, unseen: list[str]) -> Sight:
    """Raises what keeps all of it away; a record of losses that is damaged hides nothing else."""
    sink = open_filesystem(url)
    pause, kept = pause_in_force(sink), KeptReports(sink)
    success = last_success(register, kept.newest())
    losses = attempt(lambda: last_losses(sink), unseen)
    return Sight(pause, success, losses, reported(kept.newest()), tuple(kept.spread()))


def chosen(found: Sequence[Row], scope: Scope | None) -> Sequence[Row]:
    """Those in scope.  Raises ConfigError."""
    if scope is None:
        return found
    existing: dict[str, list[int]] = {}
    for row in found:
        existing.setdefault(row.topic, []).append(row.partition)
    wanted = {(topic, p) for topic, partitions in within(scope, existing).items() for p in partitions}
    return [row for row in found if row.at in wanted]


def timed(
    found: Sequence[Row], kafka: Mapping[str, str] | None, earlier: Sequence[Report], now: int
) -> tuple[Row, ...]:
    """With the times; `kafka` None: it did not answer, or is not to be asked."""
    written, moving = next_times(found, kafka) if kafka else {}, rates(found, now, earlier)
    ages = {at: max(now - moment, 0) / 1000 for at, moment in written.items()}
    return tuple(row._replace(time_lag=ages.get(row.at), time_left=time_left(row, moving)) for row in found)


def attempt(ask: Callable[[], T], unseen: list[str]) -> T | None:
    """The answer; None, and why in `unseen`, if there was none."""
    try:
        return ask()
    except StreamError as e:
        unseen.append(str(e))
        return None
