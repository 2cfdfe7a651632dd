"""The log against the register, the marker, and staging.  Pure.

`before` is the register as it was before the log was looked at, `after` as it was after all of that: whatever a live
run did in between is no finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from offsets.protocol import phase
from offsets.structs import Manifest, State, TopicPartition
from streaming.sinks.names import STAGING, batch_entry
from streaming.verification.findings import Finding
from streaming.verification.tiling import Generation, Tiling, offsets_of


def check_marker(marker: str | None, register: State | None, logged: bool) -> Iterator[Finding]:
    """Marker, register and log exist together, and are of one application."""
    if register is None and (marker or logged):
        yield Finding("register-lost", "register", "there is none, but the sink has a marker or a batch log")
    if marker is None and ((register and phase(register) != "created") or logged):
        yield Finding("marker-lost", "_application.json", "is not there, but register or batch log are")
    if marker and register and marker != register.app:
        told = f"is of application {register.app}, the sink belongs to {marker}"
        yield Finding("mismatch", "register", told)


def check_log(before: State, after: State, tiling: Tiling, newest: tuple[int, int] | None) -> Iterator[Finding]:
    """The register is neither ahead of the log nor behind it.  `newest`: generation and number in the last look."""
    last = before.seq - 1
    if last >= 0 and (tiling.newest is None or tiling.newest < last):
        told = f"has committed batch {last}, which is not in the batch log"
        yield Finding("register-ahead", "register", told)
    if newest and (newest[1], after.pending is None) >= (after.seq, True):
        told = f"is not past batch {newest[1]}, which {batch_entry(*newest)} says is published"
        yield Finding("register-behind", "register", told)
    if newest and newest[0] > after.generation:
        told = f"has generation {after.generation}, {batch_entry(*newest)} is of a later one"
        yield Finding("register-behind", "register", told)


def check_offsets(before: State, committed: Iterable[Generation]) -> Iterator[Finding]:
    """Each partition's committed offset is where the log's committed batches end."""
    known = offsets_of(before.topics)
    for generation in committed:
        if generation.number == before.generation:
            yield from _differences(known, generation.until)


def _differences(known: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int]) -> Iterator[Finding]:
    for tp, end in sorted(until.items()):
        if (offset := known.get(tp)) != end:
            kind = "register-ahead" if offset is not None and offset > end else "register-behind"
            told = f"the register is at {offset}, the batch log ends at {end}"
            yield Finding(kind, f"{tp.topic}-{tp.partition}", told)


def check_pending(before: State, sha256: str | None, manifest: Manifest) -> Iterator[Finding]:
    """The entry of the prepared batch is the manifest that the register names.  `sha256`: of the entry's bytes."""
    pending = before.pending
    if pending and pending.manifest and sha256 not in (None, pending.manifest.sha256):
        told = f"is not the manifest that the register has prepared ({pending.manifest.path})"
        yield Finding("foreign-entry", batch_entry(manifest.generation, manifest.seq), told)


def left_over(before: State, staged: Iterable[tuple[int, int]], held: bool) -> set[tuple[int, int]]:
    """The (epoch, seq) of staging that a run should have collected.  `held`: whether a run is alive.

    Not what is collected right after a commit or a takeover: a run may be at it, or have been killed there.
    """
    if before.step in ("create", "rebuild") or (held and before.step == "take"):
        return set()
    now = (before.epoch, before.seq)
    kept = {before.seq - 1} | ({before.seq} if before.pending else set())
    return {place for place in staged if place < now and place[1] not in kept}


def check_staging(left: Iterable[tuple[int, int]]) -> Iterator[Finding]:
    for epoch, seq in sorted(left):
        told = "is of a batch that is over; the next launch collects it, unless it may not delete there"
        yield Finding("left-over", f"{STAGING}/{epoch}/{seq}", told)
