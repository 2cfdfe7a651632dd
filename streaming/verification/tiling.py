"""The batch log by itself: are its numbers and its ranges without gap and overlap?  Pure: from manifests to findings.

Each entry costs its own ranges and files, however long the log is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from offsets.structs import Manifest, OffsetRange, StagedFile, State, TopicPartition, TopicState
from streaming.sinks.names import FinalName, batch_entry, encoded_topic, parse_final_name
from streaming.verification.findings import Counts, Finding, Vouched
from streaming.verification.weaker import Offsets, Weaker


class Named(NamedTuple):
    """What the log says of a file."""

    length: int
    crc32: int
    seq: int


Folders = dict[str, dict[str, Named]]  # folder ("" is the root) -> file name -> what the log says


@dataclass
class Generation:
    """Where each partition's records begin, as far as the log tells, and where they end."""

    number: int
    first: dict[TopicPartition, int] = field(default_factory=dict)
    until: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass
class Tiling:
    """Takes the entries in the order of generation and number.  `app`: whose sink it is; None: not known."""

    app: str | None
    generations: list[Generation] = field(default_factory=list)
    folders: Folders = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    oldest: int | None = None
    newest: int | None = None
    findings: list[Finding] = field(default_factory=list)
    weaker: Weaker = field(default_factory=Weaker)

    def begin(self, reset: Manifest) -> None:
        """The trace of a reset: where its generation begins."""
        self._generation(reset.generation, reset)

    def give_up(self, seq: int) -> None:
        """This batch is over, and has published nothing that anybody vouches for."""
        if self.newest is None or seq == self.newest + 1:
            self.oldest, self.newest = seq if self.oldest is None else self.oldest, seq

    def forget(self) -> None:
        """Retention deletes the oldest first, and has overtaken: none of the entries so far is in the log any more."""
        self.generations, self.folders, self.findings = [], {}, []
        self.counts, self.oldest, self.newest, self.weaker = Counts(), None, None, Weaker()

    def damaged(self, generation: int, seq: int, why: str) -> None:
        """An entry that cannot be read.  What it covered shows as a gap, what it named as foreign."""
        self._follow(generation, seq)
        self.findings.append(Finding("damaged-entry", batch_entry(generation, seq), why))

    def add(self, generation: int, seq: int, manifest: Manifest) -> None:
        wrong = self._not_ours(generation, seq, manifest)
        self._follow(generation, seq, None if wrong else manifest)
        if wrong:
            self.findings.append(wrong)
            return
        self.weaker.see(manifest, begun(manifest))
        self._cover(self._generation(generation, manifest), manifest)
        self._name(manifest)
        self._count(manifest)

    def end(self, register: State, guarantee: str) -> None:
        """After the last committed entry: whether the register's newest batches may lack.  `guarantee`: the job's."""
        numbers = range(0 if self.newest is None else self.newest + 1, register.seq)
        if self._leave_out(numbers, register.generation, offsets_of(register.topics), register.epoch + 1, guarantee):
            self.newest = register.seq - 1
        self.weaker.turn(register.generation, register.epoch, guarantee)

    def end_generation(self, begun: Manifest, ends: Offsets, guarantee: str) -> None:
        """Whether the last batches may lack of the generation before `begun`, a reset's trace; it has ended at `ends`.

        `guarantee`: of what comes next.
        """
        numbers = range(0 if self.newest is None else self.newest + 1, begun.seq + 1)
        if self.generations and self._leave_out(numbers, self.generations[-1].number, ends, begun.epoch, guarantee):
            self.newest = begun.seq

    def vouched(self) -> Iterator[Vouched]:
        for generation in self.generations:
            for tp, until in sorted(generation.until.items()):
                yield Vouched(generation.number, *tp, generation.first[tp], until)

    def _not_ours(self, generation: int, seq: int, manifest: Manifest) -> Finding | None:
        where = batch_entry(generation, seq)
        if self.app is not None and manifest.app != self.app:
            told = f"is of application {manifest.app}, the sink belongs to {self.app}"
            return Finding("foreign-entry", where, told)
        if (manifest.generation, manifest.seq) != (generation, seq):
            told = f"holds batch {manifest.seq} of generation {manifest.generation}"
            return Finding("misplaced-entry", where, told)
        return None

    def _follow(self, generation: int, seq: int, manifest: Manifest | None = None) -> None:
        """Numbers grow by one, over generations too, but for what a weaker guarantee permits.

        `manifest`: the entry, if it can be trusted.
        """
        if self.newest is not None and seq != self.newest + 1 and not self._may_lack(seq, manifest):
            told = (
                f"is numbered behind batch {self.newest}"
                if seq <= self.newest
                else f"follows batch {self.newest}: the entries of {seq - self.newest - 1} batches are missing"
            )
            self.findings.append(Finding("missing-entry", batch_entry(generation, seq), told))
        self.oldest = seq if self.oldest is None else self.oldest
        self.newest = seq

    def _may_lack(self, seq: int, manifest: Manifest | None) -> bool:
        if manifest is None or self.newest is None:
            return False
        numbers = range(self.newest + 1, seq)
        return self._leave_out(numbers, manifest.generation, begun(manifest), manifest.epoch, manifest.guarantee)

    def _leave_out(self, numbers: range, generation: int, at: Offsets, epoch: int, guarantee: str) -> bool:
        """Whether these batches may lack before what goes on, or ends, `at` these offsets of this generation."""
        last = self.generations[-1] if self.generations else Generation(generation, {}, dict.fromkeys(at, 0))
        until = last.until if last.number == generation else {}
        ends = {tp: at[tp] for tp in sorted(until) if at.get(tp, 0) > until[tp]}
        spans = tuple(Vouched(generation, *tp, until[tp], end) for tp, end in ends.items())
        if not self.weaker.leave_out(numbers, epoch, guarantee, spans):
            return False
        until.update(ends)
        return True

    def _generation(self, number: int, manifest: Manifest) -> Generation:
        """Its account; begun with the map of its first entry, which also holds partitions that it did not read."""
        if not self.generations or self.generations[-1].number < number:
            self.generations.append(Generation(number, begun(manifest), begun(manifest)))
        return self.generations[-1]

    def _cover(self, generation: Generation, manifest: Manifest) -> None:
        for r in manifest.ranges:
            at = generation.until.get(r.topic_partition, r.from_offset)
            if r.from_offset != at:
                self.findings.append(_not_flush(r, at, manifest))
            generation.first.setdefault(r.topic_partition, r.from_offset)
            generation.until[r.topic_partition] = max(at, r.until_offset)

    def _name(self, manifest: Manifest) -> None:
        ranges = {(encoded_topic(r.topic), *r[1:]) for r in manifest.ranges}
        for file in manifest.files:
            folder, _, name = file.final.rpartition("/")
            files = self.folders.setdefault(folder, {})
            if name in files:
                told = f"is named by batch {files[name].seq} and again by batch {manifest.seq}"
                self.findings.append(Finding("named-twice", file.final, told))
            elif not _fits(parse_final_name(name), manifest, ranges):
                told = f"is named by batch {manifest.seq}, whose ranges, generation or epoch are others"
                self.findings.append(Finding("misnamed", file.final, told))
            files[name] = Named(file.length, file.crc32, manifest.seq)

    def _count(self, manifest: Manifest) -> None:
        files: tuple[StagedFile, ...] = manifest.files
        self.counts.batches += 1
        self.counts.records += manifest.records
        self.counts.files += len(files)
        self.counts.rows += sum(f.count for f in files)
        self.counts.bad += sum(f.bad for f in files)
        self.counts.bytes += sum(f.length for f in files)


def offsets_of(topics: Mapping[str, TopicState]) -> dict[TopicPartition, int]:
    """The map of a register or manifest, flat."""
    return {TopicPartition(name, p): offset for name, topic in topics.items() for p, offset in topic.offsets.items()}


def begun(manifest: Manifest) -> dict[TopicPartition, int]:
    """Where each partition of its map stood before the batch."""
    return offsets_of(manifest.topics) | {r.topic_partition: r.from_offset for r in manifest.ranges}


def _not_flush(r: OffsetRange, at: int, manifest: Manifest) -> Finding:
    where = f"{r.topic}-{r.partition}"
    batch = f"batch {manifest.seq} of generation {manifest.generation} reads {r}"
    if r.from_offset > at:
        return Finding("gap", where, f"[{at},{r.from_offset}) is in no batch: {batch}")
    return Finding("overlap", where, f"[{r.from_offset},{min(at, r.until_offset)}) is in two batches: {batch}")


def _fits(name: FinalName | None, manifest: Manifest, ranges: set[tuple[str, int, int, int]]) -> bool:
    return (
        name is not None
        and (name.generation, name.epoch) == (manifest.generation, manifest.epoch)
        and (name.topic, name.partition, name.from_offset, name.until_offset) in ranges
    )
