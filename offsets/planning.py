"""What the next batch reads: the cursor of the register against one snapshot of Kafka, and the limits.

Reports every loss there is (`offsets.losses`) at once.  Never skips a record by itself, never asks Kafka or a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from offsets.errors import DataLossError
from offsets.losses import find_losses, resume_topic
from offsets.rate import UNLIMITED, Limits
from offsets.snapshot import Snapshot, TopicSnapshot
from offsets.structs import Loss, LostRange, OffsetRange, TopicPartition, TopicState

NAMED_TOPICS = 5  # in a command that a person copies


@dataclass(frozen=True)
class Plan:
    """`ranges`: sorted, none of them empty.  `topics`: the cursor with new partitions added where they begin.

    With `losses` there is nothing to read yet: a new generation must begin at `topics`, behind what is lost.
    """

    ranges: tuple[OffsetRange, ...]
    topics: Mapping[str, TopicState]
    left: int = 0  # offsets that the limits leave for the batches after this one
    losses: tuple[LostRange, ...] = ()  # sorted by partition

    def size(self) -> int:
        """Offsets in all ranges: an upper bound of its records."""
        return sum(r.size() for r in self.ranges)


def plan(
    topics: Mapping[str, TopicState],
    snapshot: Snapshot,
    limits: Limits = UNLIMITED,
    until: Mapping[TopicPartition, int] | None = None,
    job: str = "JOB.cfg",
) -> Plan:
    """The next batch: from the cursor to the ends in `snapshot`, or as far as `limits` allow.

    Partitions and topics that the cursor does not know start at their beginning: none of their first records is lost.
    `until` caps the ends of a run at what its first look saw; a partition that it does not name is left for the next
    run.  Every partition of `topics` is checked, so leave out topics that are no longer read, and put them back
    (``{**register, **plan.topics}``) before PREPARE.

    Raises DataLossError with every loss.  One snapshot may be stale: a broker that lags may report an end behind the
    cursor (K9), so on BEYOND_END the caller takes a second snapshot and believes only what that one says as well (K8).
    """
    losses = find_losses(topics, snapshot)
    if losses:
        raise DataLossError(losses, _remedy(losses, job))
    cursor = _with_new_partitions(topics, snapshot)
    lags = {tp: max(0, end - _offset(cursor, tp)) for tp, end in _ends(cursor, snapshot, until)}
    taken = limits.share(lags)
    return Plan(tuple(_ranges(cursor, taken)), cursor, sum(lags.values()) - sum(taken.values()))


def give_up(topics: Mapping[str, TopicState], snapshot: Snapshot, losses: Sequence[Loss]) -> Plan:
    """A plan behind `losses`, which reads nothing: each at its first readable offset, all else where it is.

    Nothing of a topic that is missing: there is nothing to go on from.
    """
    lost: dict[str, set[int]] = {}
    for loss in losses:
        lost.setdefault(loss.topic, set()).add(loss.partition)
    moved = {name: _behind(topics[name], snapshot[name], lost[name]) for name in lost if name in snapshot}
    return Plan((), {**topics, **moved}, losses=tuple(_lost_ranges(topics, losses)))


def _behind(known: TopicState, now: TopicSnapshot, lost: set[int]) -> TopicState:
    resumed = resume_topic(known, now)
    if known.id != now.id:
        return TopicState(now.id, resumed)
    kept = {p: offset for p, offset in known.offsets.items() if p not in lost}
    moved = lost & resumed.keys()
    epochs = {**known.epochs, **{p: now.epochs[p] for p in moved & now.epochs.keys()}}  # there it is another log
    return TopicState(now.id, {**kept, **{p: resumed[p] for p in moved}}, epochs)


def _lost_ranges(topics: Mapping[str, TopicState], losses: Sequence[Loss]) -> Iterator[LostRange]:
    """Partition by partition, also of topics that are lost as a whole."""
    for loss in losses:
        if loss.partition >= 0:
            yield LostRange(loss.kind, loss.topic, loss.partition, loss.lost_from, loss.lost_until)
        else:
            known = topics[loss.topic].offsets or {0: 0}
            yield from (LostRange(loss.kind, loss.topic, p, offset, offset) for p, offset in sorted(known.items()))


def _remedy(losses: list[Loss], job: str) -> str:
    lost = sorted({loss.topic for loss in losses})
    scope = " ".join(f"--topic {name}" for name in lost) if len(lost) <= NAMED_TOPICS else "--all-topics"
    command = f"reset_offsets.py {job} {scope} --to-current --execute"
    if missing := sorted(loss.topic for loss in losses if loss.kind == "TOPIC_MISSING"):
        return (
            f"correct [kafka] bootstrap.servers or [source]; or create {', '.join(missing)} again, start a new "
            f"generation there, then launch again: {command}"
        )
    return (
        "if these records are to be given up, start a new generation at what is readable, then launch again (without "
        f"--execute it says what is given up): {command}"
    )


def _with_new_partitions(topics: Mapping[str, TopicState], snapshot: Snapshot) -> dict[str, TopicState]:
    cursor = dict(topics)
    for name, now in snapshot.items():
        known = topics.get(name, TopicState(now.id, {}))
        beginnings = {partition: beginning for partition, (beginning, _) in now.partitions.items()}
        epochs = {p: max(epoch, known.epochs.get(p, epoch)) for p, epoch in now.epochs.items()}
        cursor[name] = TopicState(now.id, {**beginnings, **known.offsets}, {**known.epochs, **epochs})
    return cursor


def _ends(
    cursor: Mapping[str, TopicState],
    snapshot: Snapshot,
    until: Mapping[TopicPartition, int] | None,
) -> Iterator[tuple[TopicPartition, int]]:
    """Up to where each partition may be read in this run."""
    for name in cursor:
        for partition, (_, end) in snapshot[name].partitions.items():
            tp = TopicPartition(name, partition)
            if until is None:
                yield tp, end
            elif tp in until:
                yield tp, min(end, until[tp])


def _offset(cursor: Mapping[str, TopicState], tp: TopicPartition) -> int:
    return cursor[tp.topic].offsets[tp.partition]


def _ranges(cursor: Mapping[str, TopicState], taken: Mapping[TopicPartition, int]) -> Iterator[OffsetRange]:
    for tp in sorted(taken):
        if taken[tp] > 0:
            start = _offset(cursor, tp)
            yield OffsetRange(tp.topic, tp.partition, start, start + taken[tp])
