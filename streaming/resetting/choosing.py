"""From what is asked and the register to where the register shall go on, by looks at Kafka.  Driver; writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from offsets.errors import ConfigError, DataLossError, UnavailableError
from offsets.losses import find_losses
from offsets.nearest import nearest
from offsets.reset import Found, Reset, Topics, Wanted, plan_reset
from offsets.reset_modes import Mode, ToOffsets, ToTime
from offsets.snapshot import Snapshot
from offsets.structs import State, TopicPartition
from streaming.config.scope import Existing, Scope, within
from streaming.source.beginning import shape
from streaming.source.broker import Broker
from streaming.source.planner import CONFIRM_LOOKS, CONFIRM_SECONDS, compared
from streaming.source.subscription import Assign, Subscription, included, visible


@dataclass(frozen=True)
class Chooser:
    """Asks Kafka anew at each call, for the register that it is given.  `scope` None: all that the job reads.

    `subscription` None: it reads what the register has.

    Raises ConfigError with everything that is asked for and is not there, DataLossError for a topic that Kafka has not,
    UnavailableError.
    """

    scope: Scope | None
    mode: Mode
    broker: Broker
    subscription: Subscription | None
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, state: State) -> Reset:
        known, read = state.topics, self.subscription or _exactly(state.topics)
        choice = {**dict.fromkeys(read.topics(known, self.broker.existing_topics), ()), **_partitions(known)}
        scope = dict.fromkeys(filter(read.includes, choice)) if self.scope is None else self.scope
        snapshot = self._look(known, sorted(scope.keys() & choice.keys()))
        self._refuse_missing(known, snapshot, scope.keys() & choice.keys())
        rest = included(read, known) if self.scope is None else known
        lines = self.mode.lines if isinstance(self.mode, ToOffsets) else None
        wanted = within(scope, {**choice, **_readable(read, known, rest, snapshot)}, lines)
        if not wanted:
            raise ConfigError(["the register holds no topic to reset"], "nothing was written")
        return plan_reset(known, snapshot, wanted, self.mode, self._found(snapshot, wanted))

    def _look(self, known: Topics, names: Sequence[str]) -> Snapshot:
        """Losses are believed only when two looks in a row agree: an end may be stale for a moment."""
        kept = {name: known[name] for name in names if name in known}
        seen, losses = self._seen(kept, names)
        for _ in range(CONFIRM_LOOKS):
            if not losses:
                return seen
            self.sleep(CONFIRM_SECONDS)
            before, (seen, losses) = losses, self._seen(kept, names)
            if losses == before:
                return seen
        raise UnavailableError(
            "Kafka does not say twice the same of what it has lost", "try again; nothing was written"
        )

    def _seen(self, kept: Topics, names: Sequence[str]) -> tuple[Snapshot, set[tuple[str, str, int]]]:
        snapshot = compared(self.broker, kept, self.broker.snapshot(names)) if names else {}
        return snapshot, {(x.kind, x.topic, x.partition) for x in find_losses(kept, snapshot)}

    def _refuse_missing(self, known: Topics, snapshot: Snapshot, names: AbstractSet[str]) -> None:
        """What Kafka has not: a loss if the register knows it, else a name that nobody has."""
        absent = sorted(names - snapshot.keys())
        if gone := {name: known[name] for name in absent if name in known}:
            others = "create it again, or name the topics that Kafka has: --topic; nothing was written"
            raise DataLossError(find_losses(gone, snapshot), others)
        if absent:
            existing = self.broker.existing_topics()
            problems = [f"Kafka has no topic {name}{nearest(name, existing)}" for name in absent]
            raise ConfigError(problems, "create it, or name others; nothing was written")

    def _found(self, snapshot: Snapshot, wanted: Wanted) -> Found:
        """For a time, the offsets that belong to it; none of a topic that was recreated meanwhile."""
        if not isinstance(self.mode, ToTime):
            return {}
        partitions = {name: snapshot[name].partitions.keys() & set(of) for name, of in wanted.items()}
        times = {TopicPartition(name, p): self.mode.time_ms for name, of in partitions.items() for p in of}
        found = self.broker.offsets_for_times(times)
        before, after = shape(snapshot), self.broker.shapes(sorted(snapshot))
        if before != after:
            changed = sorted(name for name in before if after.get(name) != before[name])
            raise UnavailableError(f"{', '.join(changed)} changed meanwhile", "try again; nothing was written")
        return found


def _exactly(topics: Topics) -> Subscription:
    return Assign(frozenset(TopicPartition(name, p) for name, topic in topics.items() for p in topic.offsets))


def _partitions(topics: Topics) -> Existing:
    return {name: frozenset(topic.offsets) for name, topic in topics.items()}


def _readable(read: Subscription, known: Topics, rest: Topics, snapshot: Snapshot) -> Existing:
    """What a job reads now, and `rest` of what the register has; all of it if the topic is another one now."""
    seen = visible(read, {name: now for name, now in snapshot.items() if read.includes(name)})
    before = {name: (rest if known[name].id == now.id else known)[name] for name, now in seen.items() if name in known}
    return {name: {*now.partitions, *(before[name].offsets if name in before else ())} for name, now in seen.items()}
