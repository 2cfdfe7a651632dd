"""Holes that are there on purpose: what skips have recorded, and whether that explains where generations begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from offsets.errors import StateDamagedError
from offsets.filesystems import Filesystem
from offsets.structs import GIVEN_UP, LostRange, Manifest, State, TopicPartition
from streaming.sinks.losses import loss_generations, read_losses
from streaming.sinks.names import FinalName, encoded_topic, loss_entry, parse_final_name
from streaming.verification.findings import Finding, Hole
from streaming.verification.tiling import Generation, offsets_of


@dataclass
class Holes:
    """The losses of every generation that has begun behind some.  `app`: whose sink it is; None: not known."""

    app: str | None
    losses: dict[int, tuple[LostRange, ...]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def read(self, sink: Filesystem, register: State | None) -> None:
        """The sink's records, and what the register names: a launch that was killed may not have recorded it yet."""
        for generation in loss_generations(sink):
            self._read(sink, generation)
        if register and register.losses:
            self.losses.setdefault(register.generation, register.losses)

    def _read(self, sink: Filesystem, generation: int) -> None:
        where = loss_entry(generation)
        try:
            record = read_losses(sink, generation)
        except StateDamagedError as e:
            self.findings.append(Finding("damaged-entry", where, str(e)))
            return
        if (self.app or record.app, generation) == (record.app, record.generation):
            self.losses[generation] = record.losses
        else:
            told = f"is of application {record.app}, generation {record.generation}"
            self.findings.append(Finding("foreign-entry", where, told))

    def gives_up(self, generation: int) -> bool:
        """Whether it was begun by a person, who has given up the batch that was pending."""
        return any(loss.kind == GIVEN_UP for loss in self.losses.get(generation, ()))

    def given_up(self, traces: Mapping[int, Manifest], register: State | None) -> set[int]:
        """The numbers of such batches: each is the last one before its generation."""
        found = {trace.seq for generation, trace in traces.items() if self.gives_up(generation)}
        if register and register.losses and self.gives_up(register.generation):
            found.add(register.seq - 1)  # nothing is committed behind it yet, and a crash may have left out the trace
        return found

    def of_given_up(self, finding: Finding) -> Finding:
        """The same, told better if it is about a file that such a batch has published."""
        name = parse_final_name(finding.where.rpartition("/")[2])
        if finding.kind != "foreign" or name is None or not self._given_up(name):
            return finding
        return finding._replace(told="is of a batch that was given up (reset_offsets.py --discard-pending)")

    def _given_up(self, name: FinalName) -> bool:
        lost = self.losses.get(name.generation + 1, ())
        return any(x.kind == GIVEN_UP and (encoded_topic(x.topic), *x[2:]) == name[:4] for x in lost)

    def ends(self, begun: Manifest) -> dict[TopicPartition, int] | None:
        """Where the generation before `begun` has ended; None if that was not begun behind losses."""
        losses = self.losses.get(begun.generation)
        if losses is None or self.gives_up(begun.generation):
            return None
        lost = {x.topic_partition: x.from_offset if x.kind == "EXPIRED" else x.until_offset for x in losses}
        return offsets_of(begun.topics) | lost

    def known(self) -> Iterator[Hole]:
        for generation, losses in sorted(self.losses.items()):
            yield from (Hole(generation, *loss) for loss in losses)

    def check(self, generations: Sequence[Generation]) -> None:
        """A generation that has begun behind losses goes on where the one before has ended, but for what they name.

        Of one that a person has begun nothing is known.
        """
        for ended, begun in pairwise(generations):
            between = range(ended.number + 1, begun.number + 1)
            if all(number in self.losses and not self.gives_up(number) for number in between):
                lost = {loss.topic_partition for number in between for loss in self.losses[number]}
                self.findings += _unexplained(ended, begun, lost)


def _unexplained(ended: Generation, begun: Generation, lost: set[TopicPartition]) -> Iterator[Finding]:
    for tp in sorted(ended.until.keys() & begun.first.keys() - lost):
        at, first = ended.until[tp], begun.first[tp]
        if at != first:
            kind, span = ("gap", f"[{at},{first})") if first > at else ("overlap", f"[{first},{at})")
            told = f"generation {ended.number} ends at {at}, {begun.number} begins at {first}, and no record says why"
            yield Finding(kind, f"{tp.topic}-{tp.partition}", f"{span}: {told}")
