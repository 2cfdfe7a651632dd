"""The order of the looks: register, log, files, log, register.  Beside a live run that alone makes the answer right.

Whatever was committed at the first look at the register must be visible afterwards; whatever is visible was named by
an entry before, so the second look at the log knows it.  Nothing has to stand still, and nothing is looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from offsets.codec import decode_state
from offsets.errors import StagingLostError, StateDamagedError
from offsets.filesystems import Filesystem
from offsets.stores.base import OffsetStore
from offsets.structs import EXACTLY_ONCE, Manifest, StagedFile, State
from streaming.sinks.names import joined, reset_entry
from streaming.sinks.notes import read_manifest, read_marker
from streaming.sinks.parallel import in_parallel
from streaming.verification import reading, registers
from streaming.verification.files import Comparison, foreign
from streaming.verification.findings import Finding, Hole, InFlight, Verdict
from streaming.verification.holes import Holes
from streaming.verification.permitted import ahead_of, explain, judge
from streaming.verification.tiling import Folders, Tiling

Place = tuple[int, int]  # generation and number of a batch


def verify(
    store: OffsetStore,
    sink: Filesystem,
    allow_moved: bool = False,
    checksums: bool = False,
    guarantee: str = EXACTLY_ONCE,
) -> Verdict:
    """Reads everything but the files' content (`checksums`: that too).  `allow_moved`: consumers take files away.

    `guarantee`: the job's, by which the newest batch is judged if it has no entry yet; older ones by the entries.
    What servers refuse or do not answer is raised; what is damaged is a finding.
    """
    return _Verification(store, sink, allow_moved, checksums, guarantee).run()


@dataclass
class _Verification:
    store: OffsetStore
    sink: Filesystem
    allow_moved: bool
    checksums: bool
    guarantee: str
    findings: list[Finding] = field(default_factory=list)
    traces: dict[int, Manifest] = field(default_factory=dict)  # of resets: where generations begin
    holes: Holes = field(default_factory=lambda: Holes(None))
    given_up: set[int] = field(default_factory=set)  # numbers of batches
    prepared: Manifest | None = None  # the batch that the register had pending at the first look, if it is logged

    def run(self) -> Verdict:
        before, held, marker = self._register(), self.store.holder() is not None, self._marker()
        self.traces = self._traces()
        staged, places = reading.staged(self.sink), reading.logged(self.sink)
        self.findings += registers.check_marker(marker, before, bool(places))
        tiling = Tiling(marker or (before.app if before else None))
        first_open = before.seq if before else (places[-1][1] if places else 0)
        self.holes = holes = Holes(tiling.app)
        holes.read(self.sink, before)  # after the log: the record of a generation is older than its first batch
        self.given_up = holes.given_up(self.traces, before)
        self._read_log(tiling, places, before, first_open)
        holes.check(tiling.generations)
        seen = self._compare(tiling, first_open)
        later = reading.logged(self.sink)
        lost = self._lost(before, seen) if before else []
        after = self._register() if before else None
        ours = explain(tiling, seen, {seq for _, seq in later}, ahead_of(before, after, tiling, self.guarantee))
        weaker = list(judge(tiling, seen, ours, self.allow_moved))
        strange, older = foreign(
            seen.strangers, tiling.folders, self._named_by(later, places), tiling.generations, bool(tiling.oldest)
        )
        if before and after:
            self.findings += registers.check_log(before, after, tiling, max(later, default=None, key=lambda p: p[1]))
            self._check_staging(before, staged, held)
            if after.nonce == before.nonce:
                self.findings += lost
        self.findings += [each for each in weaker if isinstance(each, Finding)]
        found = [*self.findings, *holes.findings, *tiling.findings, *seen.findings, *map(holes.of_given_up, strange)]
        verdict = self._verdict(before, tiling, seen, older, tuple(dict.fromkeys(found)))
        return replace(verdict, holes=(*holes.known(), *(each for each in weaker if isinstance(each, Hole))))

    def _verdict(
        self, before: State | None, tiling: Tiling, seen: Comparison, older: int, findings: tuple[Finding, ...]
    ) -> Verdict:
        return Verdict(
            sink=self.sink.url,
            generation=before.generation if before else None,
            seq=before.seq if before else None,
            oldest=tiling.oldest,
            vouched=tuple(tiling.vouched()),
            in_flight=_in_flight(before, seen),
            counts=replace(tiling.counts, older=older, moved=len(seen.gone)),
            findings=findings,
        )

    def _register(self) -> State | None:
        found = self.store.load()
        try:
            return decode_state(found.state, f"the register in {self.store.url}") if found else None
        except StateDamagedError as e:
            self.findings.append(Finding("damaged-register", "register", str(e)))
            return None

    def _marker(self) -> str | None:
        try:
            return read_marker(self.sink)
        except StateDamagedError as e:
            self.findings.append(Finding("damaged-marker", "_application.json", str(e)))
            return None

    def _traces(self) -> dict[int, Manifest]:
        found = {}
        for generation in reading.resets(self.sink):
            try:
                found[generation] = reading.reset_trace(self.sink, generation)
            except StateDamagedError as e:
                self.findings.append(Finding("damaged-entry", reset_entry(generation), str(e)))
        return found

    def _read_log(self, tiling: Tiling, places: Sequence[Place], before: State | None, first_open: int) -> None:
        """Folds the committed batches, holds them against the register, then folds those in flight."""
        self._fold(tiling, [place for place in places if place[1] < first_open], None)
        if before:
            self._give_up(tiling, first_open)
            self._end_generation(tiling, before.generation, self.guarantee)
            tiling.end(before, self.guarantee)
            self.findings += registers.check_offsets(before, tiling.generations)
        self._fold(tiling, [place for place in places if place[1] >= first_open], before)

    def _fold(self, tiling: Tiling, places: Sequence[Place], before: State | None) -> None:
        for entry in reading.entries(self.sink, places):
            if entry is None:
                tiling.forget()
                continue
            self._give_up(tiling, entry.seq)
            if entry.seq in self.given_up:
                continue
            if entry.manifest is not None:
                self._end_generation(tiling, entry.generation, entry.manifest.guarantee)
            trace = self.traces.get(entry.generation)
            # Else the log has lost the beginning of this generation.
            if trace and (trace.seq + 1 == entry.seq or (tiling.newest is not None and tiling.newest <= trace.seq)):
                tiling.begin(trace)
            if entry.manifest is None:
                tiling.damaged(entry.generation, entry.seq, entry.damage)
                continue
            if before and before.pending and entry.seq == before.seq:
                self.prepared = entry.manifest
                self.findings += registers.check_pending(before, entry.sha256, entry.manifest)
            tiling.add(entry.generation, entry.seq, entry.manifest)

    def _give_up(self, tiling: Tiling, end: int) -> None:
        """Passes the batches before `end` that were given up; without older entries only the very last one."""
        begin = end - 1 if tiling.newest is None else tiling.newest + 1
        for seq in sorted(self.given_up.intersection(range(begin, end))):
            tiling.give_up(seq)

    def _end_generation(self, tiling: Tiling, generation: int, guarantee: str) -> None:
        """Before what is of `generation`: a skip tells where the one before has ended."""
        begun = self.traces.get(tiling.generations[-1].number + 1) if tiling.generations else None
        if begun and begun.generation <= generation and (ends := self.holes.ends(begun)):
            tiling.end_generation(begun, ends, guarantee)

    def _compare(self, tiling: Tiling, first_open: int) -> Comparison:
        seen = Comparison(tiling.folders, first_open, tiling.weaker.unpublished)
        for folder, files in reading.visible(self.sink):
            whole = seen.see(folder, files)
            if self.checksums:
                self._check_content(tiling, folder, whole)
        seen.finish(self.allow_moved)
        return seen

    def _check_content(self, tiling: Tiling, folder: str, names: Sequence[str]) -> None:
        for name, crc in reading.checksums(self.sink, folder, names):
            tiling.counts.checked += crc is not None
            expected = tiling.folders[folder][name].crc32
            if crc not in (None, expected):
                told = f"its CRC-32 is {crc:08x}, {expected:08x} was written: its content was changed"
                self.findings.append(Finding("changed", joined(folder, name), told))

    def _named_by(self, later: Sequence[Place], known: Sequence[Place]) -> Folders:
        """What the entries name that were written since the first look."""
        tiling = Tiling(None)
        new = set(later) - set(known)
        for entry in reading.entries(self.sink, sorted(new)):
            if entry is not None and entry.manifest is not None:
                tiling.add(entry.generation, entry.seq, entry.manifest)
        return tiling.folders

    def _check_staging(self, before: State, staged: set[Place], held: bool) -> None:
        """Only what is still there after all that."""
        if left := registers.left_over(before, staged, held):
            self.findings += registers.check_staging(left & reading.staged(self.sink))

    def _lost(self, before: State, seen: Comparison) -> list[Finding]:
        """What of a prepared batch is neither in staging nor published (protocol.md, invariant 5).

        Only true if the register is still the same afterwards: then nobody has collected anything.
        """
        if before.pending is None or before.pending.manifest is None:
            return []
        ref = before.pending.manifest
        try:
            prepared = self.prepared or read_manifest(self.sink, ref, lambda: False)
        except StagingLostError:
            return [Finding("missing", ref.path, "is not there, while its batch is prepared")]
        except StateDamagedError as e:
            return [Finding("foreign-entry", ref.path, str(e))]
        unseen = [] if self.allow_moved else [file for file in prepared.files if not seen.shows(file.final)]
        gone = in_parallel(self.sink.parallelism, self._is_gone, unseen)
        told = "is neither published nor in {}, while its batch is prepared"
        files = (file for file, is_gone in zip(unseen, gone, strict=True) if is_gone)
        return [Finding("missing", file.final, told.format(file.staged)) for file in files]

    def _is_gone(self, file: StagedFile) -> bool:
        """In this order: a live run may publish it between the two looks."""
        return self.sink.status(file.staged) is None and self.sink.status(file.final) is None


def _in_flight(before: State | None, seen: Comparison) -> InFlight | None:
    if before is None or before.pending is None or before.pending.manifest is None:
        return None
    return InFlight(before.seq, seen.visible(before.seq), before.pending.manifest.files)
