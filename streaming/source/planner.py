"""What the next batch reads: asks Kafka, then lets `offsets.planning` decide.  Runs on the driver; writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from offsets.backpressure import Estimate, Measured, estimated, limit
from offsets.errors import ConfigError, DataLossError
from offsets.losses import find_losses
from offsets.nearest import nearest
from offsets.planning import Plan, give_up, plan
from offsets.rate import UNLIMITED, Limits
from offsets.snapshot import Snapshot, led_anew
from offsets.structs import Loss, TopicPartition, TopicState
from streaming.source.broker import Broker
from streaming.source.subscription import Subscription, included, merged, visible

CONFIRM_SECONDS = 1.0  # an end offset behind the cursor may be stale metadata for a moment (SPARK-27281)
CONFIRM_LOOKS = 3  # to skip is for ever; a run that has only stopped is launched again
Skip = Callable[[Plan], Mapping[str, TopicState]]


class Planner:
    """Plans from the register's topics, within `limits` and what backpressure makes of the batches it is told of.

    `targets` (exclusive ends) bound an --available-now run; None: no end.  `skip`: lets the job go on behind a loss, by
    beginning a generation there, whose topics it returns; None: a loss is an error.  `watch` is shown every look.
    """

    def __init__(
        self,
        broker: Broker,
        subscription: Subscription,
        limits: Limits = UNLIMITED,
        targets: Mapping[TopicPartition, int] | None = None,
        job: str = "JOB.cfg",
        sleep: Callable[[float], None] = time.sleep,
        skip: Skip | None = None,
        watch: Callable[[Snapshot], None] = lambda _: None,
    ) -> None:
        self._broker, self._subscription, self._limits = broker, subscription, limits
        self._targets, self._job, self._sleep = targets, job, sleep
        self._skip, self._watch = skip, watch
        self._estimate: Estimate | None = None
        self.latest: Mapping[TopicPartition, int] = {}  # ends as last seen, for lag

    def next(self, cursor: Mapping[str, TopicState], seen: Snapshot | None = None) -> Plan:
        """The next ranges from `cursor`; none when nothing is left.  `seen`: a look that was taken just now.

        Raises DataLossError only when two looks, a second apart, agree that records are gone; UnavailableError.
        A planner that skips raises it only for a topic that is missing; else the plan goes on from where the register
        is then.
        """
        try:
            return self._plan(cursor, look(self._broker, self._subscription, cursor) if seen is None else seen)
        except DataLossError as e:
            if self._skip is None:
                return self._plan(cursor, self._look_again(cursor))
            return self.next(self._skip_lost(self._skip, cursor, e.losses))

    @property
    def skips(self) -> bool:
        return self._skip is not None

    def _skip_lost(
        self, skip: Skip, cursor: Mapping[str, TopicState], losses: Sequence[Loss]
    ) -> Mapping[str, TopicState]:
        """Gives up what every one of several looks finds lost; where to go on then."""
        named = included(self._subscription, cursor)
        for _ in range(CONFIRM_LOOKS):
            snapshot, agreed = self._look_again(cursor), {(x.kind, x.topic, x.partition) for x in losses}
            losses = [x for x in find_losses(named, snapshot) if (x.kind, x.topic, x.partition) in agreed]
        if any(x.kind == "TOPIC_MISSING" for x in losses):
            self._plan(cursor, snapshot)  # raises
        if not losses:
            return cursor
        planned = give_up(cursor, snapshot, losses)
        return skip(replace(planned, topics=merged(self._subscription, cursor, planned.topics)))

    def _look_again(self, cursor: Mapping[str, TopicState]) -> Snapshot:
        self._sleep(CONFIRM_SECONDS)
        return look(self._broker, self._subscription, cursor)

    def learn(self, batch: Measured) -> None:
        """What a committed batch says of the rate at which the next ones can be read."""
        interval_ms = round(self._limits.seconds * 1000)
        self._estimate = estimated(self._estimate, batch, self._limits.rates, interval_ms)

    def confirm(self, plan: Plan) -> None:
        """Raises DataLossError if the plan's ranges were read from another log than the one they were planned on.

        A topic that was recreated, or truncated, and filled past the range gives records without any error; only its
        id, or its leader epoch, tells.  What expired after it was read is no loss.  As in `next`, two looks must agree.
        """
        read = {r.topic: plan.topics[r.topic] for r in plan.ranges}
        ends = {(r.topic, r.partition): r.until_offset for r in plan.ranges}
        after = {
            name: replace(topic, offsets={p: ends[name, p] for p in topic.offsets if (name, p) in ends})
            for name, topic in read.items()
        }
        if self._lost_since(after):
            self._sleep(CONFIRM_SECONDS)
            if losses := self._lost_since(after):
                raise DataLossError(
                    losses, f"nothing of the batch was published; launch {self._job} again for the remedy"
                )

    def _lost_since(self, read: Mapping[str, TopicState]) -> list[Loss]:
        now = compared(self._broker, read, self._broker.snapshot(sorted(read)))
        return [loss for loss in find_losses(read, now) if loss.kind != "EXPIRED"]

    def _plan(self, cursor: Mapping[str, TopicState], snapshot: Snapshot) -> Plan:
        self.latest = ends(snapshot)
        self._watch(snapshot)
        named = included(self._subscription, cursor)
        limits = replace(self._limits, estimate=limit(self._estimate, self._limits.rates))
        planned = plan(named, snapshot, limits, self._targets, self._job)
        return replace(planned, topics=merged(self._subscription, cursor, planned.topics))


def ends(snapshot: Snapshot) -> dict[TopicPartition, int]:
    """The last stable offset (exclusive) of every partition."""
    return {TopicPartition(t, p): end for t, s in snapshot.items() for p, (_, end) in s.partitions.items()}


def behind(topics: Mapping[str, TopicState], latest: Mapping[TopicPartition, int]) -> int:
    """Records (at most) between the committed offsets and the ends last seen."""
    return sum(
        max(0, end - topics[tp.topic].offsets.get(tp.partition, 0)) for tp, end in latest.items() if tp.topic in topics
    )


def look(broker: Broker, subscription: Subscription, known: Mapping[str, TopicState]) -> Snapshot:
    """What the job reads, as Kafka has it now, and where that is no longer what the register knows."""
    seen = visible(subscription, broker.snapshot(subscription.topics(known, broker.existing_topics)))
    return compared(broker, included(subscription, known), seen)


def compared(broker: Broker, known: Mapping[str, TopicState], snapshot: Snapshot) -> Snapshot:
    """The snapshot, with what was truncated since the offsets in `known` were."""
    led = led_anew(known, snapshot)
    cut = broker.truncated(led) if led else {}
    return {
        name: replace(now, truncated={tp.partition: end for tp, end in cut.items() if tp.topic == name})
        for name, now in snapshot.items()
    }


def first_snapshot(broker: Broker, subscription: Subscription, known: Mapping[str, TopicState]) -> Snapshot:
    """What the job reads, as it is at the start.

    What neither exists nor is `known` to the register is a ConfigError with the nearest name; what is known and gone
    is left to planning, which calls it a loss.
    """
    snapshot = look(broker, subscription, known)
    if missing := list(subscription.missing(snapshot, known)):
        existing = broker.existing_topics()
        problems = [f"{subscription.setting}: {what} does not exist{nearest(name, existing)}" for what, name in missing]
        raise ConfigError(problems, f"create it or correct {subscription.setting}; nothing was written")
    return snapshot
