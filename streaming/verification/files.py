"""The log against a listing: missing, cut, foreign and copied files.  Pure, a folder at a time.

A file of a batch that the log no longer has is told by its name, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from offsets.filesystems.base import FileStatus
from offsets.structs import OffsetRange
from streaming.sinks.names import FinalName, encoded_topic, joined, parse_final_name
from streaming.verification.findings import Finding
from streaming.verification.tiling import Folders, Generation, Named


class Stranger(NamedTuple):
    """A visible file that no entry names, so far."""

    folder: str
    name: str
    length: int

    @property
    def path(self) -> str:
        return joined(self.folder, self.name)


@dataclass
class Comparison:
    """Takes what each folder shows.  `in_flight`: the number of the first batch that need not be visible yet.

    `may_lose`: the range of a file of a batch, by its number, if at-most-once may have lost it.
    """

    folders: Folders
    in_flight: int
    may_lose: Callable[[int, FinalName | None], OffsetRange | None] = lambda seq, file: None
    findings: list[Finding] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    seen: dict[str, set[str]] = field(default_factory=dict)  # of the files that the log names
    gone: list[str] = field(default_factory=list)
    lost: dict[OffsetRange, int] = field(default_factory=dict)  # perhaps, and of which generation

    def see(self, folder: str, files: Iterable[FileStatus]) -> list[str]:
        """Compares one folder; the names of the files that are as long as they should be."""
        named, whole, seen = self.folders.get(folder, {}), [], self.seen.setdefault(folder, set())
        for file in files:
            expected = named.get(file.name)
            if expected is None:
                self.strangers.append(Stranger(folder, file.name, file.length))
                continue
            seen.add(file.name)
            if file.length == expected.length:
                whole.append(file.name)
            else:
                self.findings.append(_wrong_length(joined(folder, file.name), file.length, expected))
        return whole

    def finish(self, allow_moved: bool) -> None:
        """Once every folder was seen: what is not there."""
        for folder, named in self.folders.items():
            for name in sorted(named.keys() - self.seen.get(folder, set())):
                if named[name].seq < self.in_flight:
                    self.gone.append(joined(folder, name))
                    if not allow_moved:
                        self._miss(joined(folder, name), parse_final_name(name), named[name])

    def _miss(self, path: str, file: FinalName | None, expected: Named) -> None:
        if file and (lost := self.may_lose(expected.seq, file)):
            self.lost[lost] = file.generation
        else:
            told = f"is not there; batch {expected.seq} has published it, {expected.length} bytes"
            self.findings.append(Finding("missing", path, told))

    def shows(self, path: str) -> bool:
        """Whether a file that the log names is there."""
        folder, _, name = path.rpartition("/")
        return name in self.seen.get(folder, ())

    def visible(self, seq: int) -> int:
        """How many files of this batch are to be seen."""
        return sum(self.folders[f][name].seq == seq for f, names in self.seen.items() for name in names)


def foreign(
    strangers: Iterable[Stranger], named: Folders, late: Folders, generations: list[Generation], pruned: bool
) -> tuple[list[Finding], int]:
    """Findings for the files that nothing explains, and how many belong to batches that the log no longer has.

    `late`: what entries name that were written after the first look; `pruned`: whether the log lost its beginning.
    """
    unexplained = [s for s in strangers if s.name not in late.get(s.folder, {})]
    oldest = generations[0] if generations and pruned else None
    edge = {(encoded_topic(tp.topic), tp.partition): first for tp, first in oldest.first.items()} if oldest else {}
    strange = [s for s in unexplained if not _is_older(parse_final_name(s.name), oldest, edge)]
    names = {s.name for s in strange}
    twins = {n: joined(folder, n) for folder, files in named.items() for n in names & files.keys()}
    return [_foreign(s, twins.get(s.name)) for s in strange], len(unexplained) - len(strange)


def _is_older(name: FinalName | None, oldest: Generation | None, edge: Mapping[tuple[str, int], int]) -> bool:
    """Whether it may be of a batch before the oldest one in the log."""
    if name is None or oldest is None or name.generation > oldest.number:
        return False
    if name.generation < oldest.number:
        return True
    first = edge.get((name.topic, name.partition))
    return first is None or name.until_offset <= first


def _foreign(stranger: Stranger, twin: str | None) -> Finding:
    name = parse_final_name(stranger.name)
    if twin is not None:
        told = f"no entry names it; a file of that name is where it belongs: {twin}"
        return Finding("doubled", stranger.path, told)
    whose = f"; by its name of generation {name.generation}, epoch {name.epoch}" if name else ""
    return Finding("foreign", stranger.path, f"no entry of the batch log names it ({stranger.length} bytes){whose}")


def _wrong_length(path: str, length: int, expected: Named) -> Finding:
    kind = "truncated" if length < expected.length else "too-long"
    return Finding(kind, path, f"has {length} bytes, batch {expected.seq} has written {expected.length}")
