"""What guarantees weaker than exactly-once leave behind, and why each is no finding.  Pure.

A batch may be committed without an entry in the log: its driver died before `log` (at-least-once), or before `publish`
(at-most-once), at most one a launch.  Files may be there of a batch that was read again (at-least-once).  Files that an
entry names may never have been published (at-most-once), if it is of the last batch of its launch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from offsets.structs import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, Manifest, OffsetRange, TopicPartition
from streaming.sinks.names import FinalName, encoded_topic
from streaming.verification.findings import UNPUBLISHED, Finding, Hole, Vouched

Offsets = Mapping[TopicPartition, int]


class Unlogged(NamedTuple):
    """Batches without an entry.  `spans`: what they read, as far as the log tells; `guarantees`: perhaps theirs."""

    numbers: range
    spans: tuple[Vouched, ...]
    guarantees: frozenset[str]


class Ended(NamedTuple):
    """Generations that are over before a launch of this epoch; the first one ends here as far as the log tells."""

    generations: range
    until: Mapping[tuple[str, int], int]
    epoch: int


@dataclass
class Weaker:
    """Takes the entries in order, as `Tiling` does, which asks it about what it misses."""

    last: Manifest | None = None
    unlogged: list[Unlogged] = field(default_factory=list)
    repeats: dict[tuple[int, str, int, int], int] = field(default_factory=dict)  # where launches went on: their epoch
    may_lose: dict[int, tuple[OffsetRange, ...]] = field(default_factory=dict)  # by number of the batch
    ended: list[Ended] = field(default_factory=list)

    def see(self, manifest: Manifest, begun: Offsets) -> None:
        """The next entry; `begun`: where each partition stood before it."""
        if self.last is not None or not manifest.seq:
            self.turn(manifest.generation, manifest.epoch, manifest.guarantee)
        again = self.last is None or self.last.epoch < manifest.epoch
        if again and AT_LEAST_ONCE in self._guarantees(manifest.guarantee):
            places = {(manifest.generation, encoded_topic(tp.topic), tp.partition, at) for tp, at in begun.items()}
            self.repeats |= dict.fromkeys(places, manifest.epoch)
        if self.last is not None and not again:
            self.may_lose.pop(self.last.seq, None)
        if manifest.guarantee == AT_MOST_ONCE:
            self.may_lose[manifest.seq] = manifest.ranges
        self.last = manifest

    def turn(self, generation: int, epoch: int, guarantee: str) -> None:
        """What comes next is of this generation: none goes on where a batch of an older one was published in vain."""
        over = range(self.last.generation if self.last else 0, generation)
        if over and AT_LEAST_ONCE in self._guarantees(guarantee):
            topics = self.last.topics if self.last else {}
            until = {(encoded_topic(name), p): at for name, t in topics.items() for p, at in t.offsets.items()}
            self.ended.append(Ended(over, until, epoch))

    def leave_out(self, numbers: range, epoch: int, guarantee: str, spans: tuple[Vouched, ...]) -> bool:
        """Whether these batches may lack, between the last entry and what is of this epoch and guarantee."""
        guarantees = self._guarantees(guarantee) - {EXACTLY_ONCE}
        launches = epoch - (self.last.epoch if self.last else 0)
        if not guarantees or not 0 < len(numbers) <= launches:
            return False
        self.unlogged.append(Unlogged(numbers, spans, guarantees))
        return True

    def forget_logged(self, numbers: Iterable[int]) -> None:
        """A live run has written these entries meanwhile."""
        logged = set(numbers)
        self.unlogged = [each for each in self.unlogged if not logged.issuperset(each.numbers)]

    def unpublished(self, seq: int, file: FinalName | None) -> OffsetRange | None:
        """The range of a file that an entry names and that is not there, if it may be lost."""
        ranges = self.may_lose.get(seq, ())
        return next((r for r in ranges if file and file[:4] == (encoded_topic(r.topic), *r[1:])), None)

    def explains(self, file: FinalName) -> bool:
        """Whether a file that no entry names is of a batch that was read again, or of one without an entry."""
        place = (file.generation, file.topic, file.partition, file.from_offset)
        if file.epoch < self.repeats.get(place, 0) or any(_is_behind(file, each) for each in self.ended):
            return True
        return any(_within(file, span) for each in self.unlogged for span in each.spans)

    def judge(self, files: Iterable[FinalName], vouch: bool) -> Iterator[Finding | Hole]:
        """What of the batches without an entry is not in `files`, which no entry names.

        `vouch`: files must be there, or it is a finding; unless they may have been lost.
        """
        known = list(files)
        for each in self.unlogged:
            for span in each.spans:
                if (at := _tiled(span, known)) >= span.until_offset:
                    continue
                if AT_MOST_ONCE in each.guarantees:
                    yield Hole(span.generation, UNPUBLISHED, span.topic, span.partition, at, span.until_offset)
                elif vouch and self.last is not None:  # else nobody knows where the first launch began
                    told = f"[{at},{span.until_offset}) is committed, and neither an entry nor a file says where it is"
                    yield Finding("gap", f"{span.topic}-{span.partition}", told)

    def _guarantees(self, guarantee: str) -> frozenset[str]:
        return frozenset((guarantee, self.last.guarantee if self.last else guarantee))


def is_ahead(file: FinalName, generation: int, before: Offsets, after: Offsets) -> bool:
    """Whether a batch that is on its way, or was at a crash, may have published it (at-least-once).

    `before` and `after`: the register's offsets at the first and at the last look.
    """
    starts = {(encoded_topic(tp.topic), tp.partition): (at, after.get(tp, at)) for tp, at in before.items()}
    first, last = starts.get((file.topic, file.partition), (1, 0))
    return file.generation == generation and first <= file.from_offset <= last


def _is_behind(file: FinalName, ended: Ended) -> bool:
    """Whether the file is of these generations, and not of what the log tells of them."""
    if file.generation not in ended.generations or file.epoch >= ended.epoch:
        return False
    is_first = file.generation == ended.generations[0]
    return not is_first or file.from_offset >= ended.until.get((file.topic, file.partition), 0)


def _within(file: FinalName, span: Vouched) -> bool:
    place = (span.generation, encoded_topic(span.topic), span.partition)
    return (file.generation, file.topic, file.partition) == place and (
        span.from_offset <= file.from_offset < span.until_offset
    )


def _tiled(span: Vouched, files: Iterable[FinalName]) -> int:
    """How far files cover the span from its beginning without a gap."""
    at = span.from_offset
    for file in sorted((f for f in files if _within(f, span)), key=lambda f: f.from_offset):
        if file.from_offset <= at:
            at = max(at, file.until_offset)
    return at
