"""Moves a register's offsets to where a person asks for, against one snapshot of Kafka.

What lies outside of what Kafka has is moved to its nearest end, and said.  Never asks Kafka or a clock; writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from offsets.errors import ConfigError
from offsets.losses import find_losses, resume_topic
from offsets.reset_modes import Mode, Seen, to_current
from offsets.snapshot import Snapshot, TopicSnapshot
from offsets.structs import TopicPartition, TopicState

Topics = Mapping[str, TopicState]
Wanted = Mapping[str, Collection[int]]  # the partitions to move, by topic
Found = Mapping[TopicPartition, int | None]  # the first offset at or after the time asked for; None: there is none


class Move(NamedTuple):
    """One partition that was asked for.  `current` None: new to the register; `new` None: Kafka has it no more.

    `again`, `skipped`: records, at most, that are read once more or never; None: cannot be told.
    """

    topic: str
    partition: int
    current: int | None
    new: int | None
    again: int | None
    skipped: int | None
    note: str = ""


@dataclass(frozen=True)
class Reset:
    """`topics`: the whole register's, as the new generation begins at them; what nobody moves stands here as it is.

    `moves`: what that does to the partitions that were asked for, sorted.
    """

    topics: Topics
    moves: tuple[Move, ...] = ()


def plan_reset(topics: Topics, snapshot: Snapshot, wanted: Wanted, mode: Mode, found: Found | None = None) -> Reset:
    """Moves `wanted`, all of whose topics are in `snapshot`, and nothing else.

    A partition that the register has and Kafka has not is dropped.  Of a topic that was recreated nothing stays but
    what is wanted.  Raises ConfigError with every partition of which `mode` cannot tell where it should be.
    """
    kept = {name: topics[name] for name in wanted if name in topics}
    losses = {TopicPartition(x.topic, x.partition): str(x) for x in find_losses(kept, snapshot)}
    problems: list[str] = []
    changed, moves = dict(topics), list[Move]()
    for name in sorted(wanted):
        topic = _Topic(name, topics.get(name), snapshot[name], losses, found or {})
        problems += topic.halved(wanted[name])
        moved = [topic.moved(partition, mode) for partition in sorted(wanted[name])]
        problems += (move for move in moved if isinstance(move, str))
        moves += (here := [move for move in moved if isinstance(move, Move)])
        changed[name] = topic.after(here, staying=mode is to_current)
    if problems:
        raise ConfigError(problems, "nothing was written")
    return Reset(changed, tuple(moves))


@dataclass(frozen=True)
class _Topic:
    """One topic, as the register knows it and as Kafka has it."""

    name: str
    known: TopicState | None
    now: TopicSnapshot
    losses: Mapping[TopicPartition, str]
    found: Found

    @cached_property
    def same(self) -> bool:
        return self.known is not None and self.known.id == self.now.id

    @cached_property
    def resumed(self) -> Mapping[int, int]:
        return resume_topic(self.known or TopicState(self.now.id, {}), self.now)

    def halved(self, wanted: Collection[int]) -> Iterator[str]:
        """A register has one id for all partitions of a topic."""
        kept = self.known.offsets.keys() & self.now.partitions.keys() if self.known and not self.same else set()
        if left := kept - set(wanted):
            partitions = ", ".join(map(str, sorted(left)[:5]))
            yield f"{self.name} was deleted and created again: name it whole, with its partitions {partitions}"

    def moved(self, partition: int, mode: Mode) -> Move | str:
        """The move, or why there is none."""
        tp = TopicPartition(self.name, partition)
        current = self.known.offsets.get(partition) if self.known else None
        lost = self.losses.get(tp) or self.losses.get(TopicPartition(self.name, -1), "")
        if partition not in self.now.partitions:
            return counted(tp, current, None, self.same, (lost,))
        beginning, end = self.now.partitions[partition]
        here = current if self.same else None
        resumed = self.resumed[partition]
        wanted, note = mode(Seen(tp, here, resumed, beginning, end, self.found.get(tp)))
        if wanted is None:
            return f"{self.name}-{partition}: {_joined((note, lost))}"
        notes = (lost, "" if current is not None else "new to the register", note, _clamped(wanted, beginning, end))
        return counted(tp, current, min(max(wanted, beginning), end), self.same, notes, resumed)

    def after(self, moves: Collection[Move], staying: bool) -> TopicState:
        """`staying`: a partition that does not move has yet to be compared with the log as it is now."""
        before = self.known if self.known and self.same else TopicState(self.now.id, {})
        placed = {move.partition: move.new for move in moves if move.new is not None}
        anew = {move.partition for move in moves if not (staying and self.same and move.new == move.current)}
        rest = before.offsets.keys() - {move.partition for move in moves}
        offsets = {**{p: before.offsets[p] for p in rest}, **placed}
        known = {p: epoch for p, epoch in before.epochs.items() if p not in anew}
        now = {p: self.now.epochs[p] for p in anew & placed.keys() & self.now.epochs.keys()}
        return TopicState(self.now.id, dict(sorted(offsets.items())), {**known, **now})


def counted(
    tp: TopicPartition,
    current: int | None,
    new: int | None,
    same: bool,
    notes: Collection[str] = (),
    resumed: int | None = None,
) -> Move:
    """The move, with the records that it means.

    `same`: whether both offsets are of one topic, by its id.  `resumed`: up to where the log is still the one that was
    read, where that is not as far as `current`.
    """
    if not same or current is None or new is None:
        return Move(*tp, current, new, None, None, _joined(notes))
    known = current if resumed is None else min(resumed, current)
    return Move(*tp, current, new, max(known - new, 0), max(new - known, 0), _joined(notes))


def _clamped(offset: int, beginning: int, end: int) -> str:
    if offset < beginning:
        return f"{offset} is before the log start {beginning}"
    return f"{offset} is behind the last stable offset {end}" if offset > end else ""


def _joined(notes: Collection[str]) -> str:
    return "; ".join(filter(None, notes))
