"""Holds what the looks have found against what weaker guarantees leave behind (`weaker`).  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from offsets.structs import AT_LEAST_ONCE, State
from streaming.sinks.names import FinalName, parse_final_name
from streaming.verification.files import Comparison
from streaming.verification.findings import UNPUBLISHED, Finding, Hole
from streaming.verification.tiling import Tiling, offsets_of
from streaming.verification.weaker import is_ahead

Ahead = Callable[[FinalName], bool]


def explain(tiling: Tiling, seen: Comparison, logged: Iterable[int], ahead: Ahead) -> set[FinalName]:
    """Takes from the strangers those that a weaker guarantee explains, counts them, and gives all with a name of ours.

    `logged`: numbers of the entries at the last look.
    """
    tiling.weaker.forget_logged(logged)
    files = {s: name for s in seen.strangers if (name := parse_final_name(s.name))}
    explained = {s for s, name in files.items() if tiling.weaker.explains(name) or ahead(name)}
    seen.strangers = [s for s in seen.strangers if s not in explained]
    tiling.counts.repeated = len(explained)
    tiling.counts.unlogged = sum(len(each.numbers) for each in tiling.weaker.unlogged)
    return set(files.values())


def judge(tiling: Tiling, seen: Comparison, files: Iterable[FinalName], allow_moved: bool) -> Iterator[Finding | Hole]:
    """Findings and holes: of batches without an entry, and of files that at-most-once may not have published."""
    yield from tiling.weaker.judge(files, vouch=not allow_moved and bool(tiling.counts.files))
    yield from (Hole(generation, UNPUBLISHED, *r) for r, generation in sorted(seen.lost.items()))


def ahead_of(before: State | None, after: State | None, tiling: Tiling, guarantee: str) -> Ahead:
    """Whether at-least-once may have published a file before its batch is, or was to be, committed."""
    last = tiling.weaker.last
    if before is None or after is None or AT_LEAST_ONCE not in (guarantee, last and last.guarantee):
        return lambda file: False
    return partial(
        is_ahead, generation=after.generation, before=offsets_of(before.topics), after=offsets_of(after.topics)
    )
