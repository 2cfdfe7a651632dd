"""Holes that are there on purpose: what skips have recorded, and whether that explains where generations begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from offsets.errors import StateDamagedError
from offsets.filesystems import Filesystem
from offsets.structs import LostRange, Manifest, State, TopicPartition
from streaming.sinks.losses import loss_generations, read_losses
from streaming.sinks.names import loss_entry
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

    def ends(self, begun: Manifest) -> dict[TopicPartition, int] | None:
        """Where the generation before `begun` has ended; None if that was not begun behind losses."""
        if (losses := self.losses.get(begun.generation)) is None:
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
            if all(number in self.losses for number in between):
                lost = {loss.topic_partition for number in between for loss in self.losses[number]}
                self.findings += _unexplained(ended, begun, lost)


def _unexplained(ended: Generation, begun: Generation, lost: set[TopicPartition]) -> Iterator[Finding]:
    for tp in sorted(ended.until.keys() & begun.first.keys() - lost):
        at, first = ended.until[tp], begun.first[tp]
        if at != first:
            kind, span = ("gap", f"[{at},{first})") if first > at else ("overlap", f"[{first},{at})")
            told = f"generation {ended.number} ends at {at}, {begun.number} begins at {first}, and no record says why"
            yield Finding(kind, f"{tp.topic}-{tp.partition}", f"{span}: {told}")
