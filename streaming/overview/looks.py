"""The looks at store, Kafka and sink from which an overview is made.  Takes no lock, writes nothing, never retries.

The store must answer; what Kafka or the sink do not say is left out and named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TypeVar

from offsets.codec import decode_state
from offsets.errors import StreamError
from offsets.filesystems import open_filesystem
from offsets.snapshot import Snapshot
from offsets.stores.base import OffsetStore
from offsets.structs import State
from streaming.config.job import JobConfig
from streaming.overview.values import Overview, last_success, rows, strangers
from streaming.run.pausing import pause_in_force
from streaming.sinks.losses import last_losses
from streaming.sinks.runs import reports
from streaming.source.broker import Broker
from streaming.source.open_transactions import held_back, reported, told

T = TypeVar("T")
ANSWER_SECONDS = 10.0
MOMENT_SECONDS = 2.0  # between two looks at a register that somebody holds


def look(config: JobConfig, store: OffsetStore, sleep: Callable[[float], None] = time.sleep) -> Overview:
    """How the job stands.  Raises what the store has to say: unavailable, damaged."""
    sink, unseen = open_filesystem(config.sink_path), list[str]()
    began, before, holder = time.monotonic(), register(store, config), store.holder()
    known = before.topics if before else {}
    snapshot = attempt(lambda: ask_kafka(config, sorted(known)), unseen) if known else {}
    pause, success, losses, earlier = attempt(
        lambda: (
            pause_in_force(sink),
            last_success(before, reports(sink)),
            attempt(lambda: last_losses(sink), unseen),  # damaged, it hides nothing else
            reported(reports(sink)),
        ),
        unseen,
    ) or (None, last_success(before, ()), None, {})
    held = held_back(snapshot or {}, earlier, time.time())
    if holder:
        sleep(max(0.0, MOMENT_SECONDS - (time.monotonic() - began)))
    after = register(store, config)
    return Overview(
        job=config.name,
        store=config.store,
        sink=sink.url,
        now=time.time_ns() // 1_000_000,
        register=after,
        rows=tuple(rows(after.topics if after else {}, snapshot or {})),
        holder=store.holder() if holder else None,
        moves=(before and before.nonce) != (after and after.nonce),
        pause=pause,
        losses=losses,
        last_success=max(filter(None, (success, last_success(after, ()))), default=None),
        unseen=tuple(unseen),
        notes=(*strangers(known, snapshot), *told(held, time.time())) if snapshot is not None else (),
        held=held,
    )


def register(store: OffsetStore, config: JobConfig) -> State | None:
    found = store.load()
    return decode_state(found.state, f"the register in {store.url}", config.job) if found else None


def ask_kafka(config: JobConfig, topics: Sequence[str]) -> Snapshot:
    with closing(Broker(config.kafka, ANSWER_SECONDS)) as broker:
        return broker.snapshot(topics)


def attempt(ask: Callable[[], T], unseen: list[str]) -> T | None:
    """The answer; None, and why in `unseen`, if there was none."""
    try:
        return ask()
    except StreamError as e:
        unseen.append(str(e))
        return None
