"""The promises, each as a function of what an onlooker has seen; protocol.md section 7, failure-modes.md 3.3.

Judged from plain listings, the files that consumers have moved, the producer's log, the register's history and the
launches' exits; nothing here asks the product.  A function returns what contradicts it, one line each, best none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from tests.crash.plain.bench import KERNEL_LOCKS
from tests.crash.plain.evidence import STAGING, Evidence, Look
from tests.crash.plain.topic import BATCH, Place

Wrong = Iterator[str]
Invariant = Callable[[Evidence], Wrong]


def places(e: Evidence) -> Counter[Place]:
    """How often each record was received."""
    return Counter((row["partition"], row["offset"]) for row in e.rows())


def nothing_lost(e: Evidence) -> Wrong:
    """I1: every committed record was received."""
    missing = sorted(set(e.produced.committed) - set(places(e)))
    if missing:
        yield f"{len(missing)} records are in no file, first {missing[0]}"


def nothing_doubled(e: Evidence) -> Wrong:
    """I2: no record was received twice in one generation."""
    found = Counter((row.get("generation", 0), row["partition"], row["offset"]) for row in e.rows())
    twice = sorted(place for place, count in found.items() if count > 1)
    if twice:
        yield f"{len(twice)} records are there twice, first {twice[0]}"


def nothing_phantom(e: Evidence) -> Wrong:
    """I3: what was received is what was committed, nulls and all; nothing aborted, nothing changed."""
    for row in e.rows():
        place = row["partition"], row["offset"]
        if e.produced.committed.get(place) != (row["key"], row["value"]):
            yield f"{place} is {row['key']!r}: {row['value']!r}, never produced so"


def loses_only_in_flight(e: Evidence) -> Wrong:
    """I9: what is lost was committed by the last write before a crash, or by the one after it, and no more."""
    missing = set(e.produced.committed) - set(places(e))
    flights = [flight for look in crashes(e) for flight in decided(e, look)]
    yield from beyond(missing, flights, "lost")


def doubles_only_in_flight(e: Evidence) -> Wrong:
    """I10: what is doubled was not committed yet at a crash, and belongs to the one batch after it."""
    twice = {place for place, count in places(e).items() if count > 1}
    flights = [{p: (start, start + BATCH) for p, start in committed(e, look).items()} for look in crashes(e)]
    yield from beyond(twice, flights, "doubled")


def beyond(found: set[Place], flights: list[dict[int, tuple[int, int]]], what: str) -> Wrong:
    """`flights`: by partition the offsets of a batch in flight, [from, until)."""
    outside = sorted((p, o) for p, o in found if not any(f[p][0] <= o < f[p][1] for f in flights if p in f))
    if outside:
        yield f"{len(outside)} {what} records were in no batch in flight, first {outside[0]}"
    if len(found) > BATCH * len(flights):
        yield f"{len(found)} records are {what}, more than {len(flights)} batches have"


def crashes(e: Evidence) -> list[Look]:
    return [look for look in e.looks if look.when in ("crash", "frozen")]


def committed(e: Evidence, look: Look) -> Mapping[int, int]:
    return look.register.offsets if look.register else dict.fromkeys(e.produced.ends, 0)


def decided(e: Evidence, look: Look) -> Iterator[dict[int, tuple[int, int]]]:
    """The last batch that was committed at a look."""
    now = committed(e, look)
    older = [r.offsets for r in e.history if look.register and r.version < look.register.version]
    before = next((o for o in reversed(older) if o != now), dict.fromkeys(now, 0))
    yield {p: (before.get(p, 0), until) for p, until in now.items()}


def batches_tile(e: Evidence) -> Wrong:
    """I4: the batch log's ranges and numbers follow each other without gap or overlap, up to what is committed."""
    at: dict[int, dict[int, int]] = {}
    for number, batch in enumerate(e.end.batches):
        if batch.get("seq") != number:
            yield f"batch {batch.get('seq')} stands where {number} should"
        ends = at.setdefault(batch.get("generation", 0), dict.fromkeys(e.produced.ends, 0))
        for _, partition, start, until in batch.get("ranges", ()):
            if start != ends[partition]:
                yield f"batch {batch['seq']} begins at {start} of partition {partition}, not at {ends[partition]}"
            ends[partition] = until
    if not at or at[max(at)] != dict(e.produced.ends):
        yield f"the batch log ends at {at}, the topic at {dict(e.produced.ends)}"


def generations_are_whole(e: Evidence) -> Wrong:
    """Invariant 3: a generation has exactly the records of the ranges that its batch log names."""
    found = {(row["generation"], row["partition"], row["offset"]) for row in e.rows()}
    named = {
        (batch.get("generation", 0), partition, offset)
        for batch in e.end.batches
        for _, partition, start, until in batch.get("ranges", ())
        for offset in range(start, until)
        if (partition, offset) in e.produced.committed
    }
    if found != named:
        yield f"records beyond the log: {sorted(found - named)}; records that it names: {sorted(named - found)}"


def writes_tile(e: Evidence) -> Wrong:
    """I4 for direct sinks: whatever was written again was the same range again, and the ranges leave no gap."""
    for partition, end in e.produced.ends.items():
        at = 0
        for _, start, until in sorted({span for span in e.spans if span[0] == partition}):
            if start != at:
                yield f"[{start},{until}) of partition {partition} was written, and what ends at {at}"
            at = until
        if at != end:
            yield f"partition {partition} was written up to {at}, it ends at {end}"


def register_only_grows(e: Evidence) -> Wrong:
    """I5: version, epoch and seq grow; offsets grow, by COMMIT only; one batch is pending at a time."""
    for old, new in pairwise(e.history):
        grown = new.version > old.version and new.epoch >= old.epoch and new.seq >= old.seq
        shrunk = any(new.offsets.get(p, -1) < offset for p, offset in old.offsets.items())
        if not grown or (shrunk and new.generation == old.generation) or new.generation < old.generation:
            yield f"after version {old.version} (epoch {old.epoch}, {old.offsets}) came {new}"
        if new.version != old.version + 1:
            continue  # a watch has missed one
        if new.step == "take" and new.epoch != old.epoch + 1:
            yield f"version {new.version} takes epoch {new.epoch} after {old.epoch}"
        if new.step == "commit" and old.pending and new.offsets != {**old.offsets, **old.pending.until}:
            yield f"version {new.version} commits {new.offsets}, prepared was {old.pending.until}"
        if new.step not in ("commit", "create", "reset") and new.offsets != old.offsets:
            yield f"version {new.version} moves the offsets by {new.step}"
        if new.pending and old.pending and new.pending != old.pending:
            yield f"version {new.version} has another batch pending than the one before"


def files_never_change(e: Evidence) -> Wrong:
    """I6: a published file keeps its content, does not go away by itself, and its name never returns."""
    for old, new in pairwise(e.looks):
        for name, content in old.published.items():
            if new.published.get(name, None) != content:
                yield f"{name} {'changed' if name in new.published else 'is gone'} ({new.when})"
        for name in old.consumed:
            if name in new.visible:
                yield f"{name} came again ({new.when})"
    yield from (f"{name} came again" for name in e.end.consumed if name.endswith("again"))


def files_were_prepared(e: Evidence) -> Wrong:
    """Invariant 2: at any time, what is visible stands in a manifest that the batch log has."""
    for look in e.looks:
        named = {file[1] for batch in look.batches for file in batch.get("files", ())}
        yield from (f"{name} is in no manifest ({look.when})" for name in look.published if name not in named)


def batches_in_order(e: Evidence) -> Wrong:
    """Invariant 4: nothing of a batch is visible before all of those before it."""
    for look in e.looks:
        whole = True
        for batch in look.batches:
            seen = [file[1] in look.published for file in batch.get("files", ())]
            if any(seen) and not whole:
                yield f"batch {batch['seq']} is visible before the one before it ({look.when})"
            whole = whole and all(seen)


def pending_is_whole(e: Evidence) -> Wrong:
    """Invariant 5: each file of a pending batch waits in staging, or is published."""
    for look in e.looks:
        pending = look.register and look.register.pending
        if not pending or pending.manifest is None:
            continue
        manifest = look.manifests.get(pending.manifest)
        if manifest is None:
            yield f"the manifest of the pending batch is gone ({look.when})"
            continue
        for staged, final, *_ in manifest["files"]:
            if staged not in look.staging and final not in look.published:
                yield f"{final} of the pending batch is neither staged nor published ({look.when})"


def zombie_changes_nothing(e: Evidence) -> Wrong:
    """I7: a driver that was frozen while another took over, and then woken, changes neither register nor files."""
    for old, new in pairwise(e.looks):
        if new.when != "woken":
            continue
        if old.register != new.register:
            yield f"the register was {old.register}, is {new.register}"
        if e.guarantee == "exactly-once" and e.kind == "staged":
            changed = sorted(n for n in {*old.files, *new.files} if old.files.get(n) != new.files.get(n))
            yield from (f"{name} was changed by a zombie" for name in changed if not may_report(e, name))


def may_report(e: Evidence, name: str) -> bool:
    """Whether it is the report of a run whose deadline has passed in its sleep: it says so, fenced or not."""
    return name.startswith("_runs/") and any(exit.what == "fault" and exit.status == 69 for exit in e.exits)


def comes_to_rest(e: Evidence) -> Wrong:
    """I13: a clean launch alone reaches the end of the topic, with nothing pending."""
    register = e.end.register
    if register is None:
        yield "there is no register"
    elif register.pending is not None or register.offsets != dict(e.produced.ends):
        yield f"it ends at {dict(e.produced.ends)}, the register is {register}"
    if e.exits[-1].status != 0:
        yield f"the last launch left with {e.exits[-1].status}"


def dead_are_succeeded(e: Evidence) -> Wrong:
    """S5: whoever is launched beside a frozen driver takes over, or leaves with 75 where the kernel keeps the lock."""
    beside = [exit.status for exit in e.exits if exit.what == "takeover"][-1:]
    may = (0, 75) if e.store in KERNEL_LOCKS else (0, -9)  # killed if the tuple says so
    yield from (f"the launch beside the frozen one left with {status}" for status in beside if status not in may)


def staging_is_swept(e: Evidence) -> Wrong:
    """I8: one clean launch leaves nothing in staging."""
    if e.end.staging:
        yield f"{len(e.end.staging)} files stay in {STAGING}, first {e.end.staging[0]}"


EXPECTED: Mapping[str, frozenset[int]] = {
    "kill": frozenset({-9}),
    "freeze": frozenset({0, 69, 75}),  # its deadline may have passed in its sleep
    "raise": frozenset({1}),
    "lose": frozenset({0, 1, 69}),
    "full": frozenset({0, 1, 69}),
}


def stops_are_told(e: Evidence) -> Wrong:
    """I11: each stop has its exit status and says why in a line that names an error, not in a traceback."""
    for exit in e.exits:
        if exit.what == "fault" and exit.status not in EXPECTED[e.action]:
            yield f"the launch with the fault left with {exit.status}"
        if exit.status and exit.status > 0 and " ERROR " not in exit.said:
            yield f"a {exit.what} launch left with {exit.status} and said nothing"
        if "Traceback" in exit.said or ("this is a bug" in exit.said and e.action != "raise"):
            yield f"a {exit.what} launch told of a defect"


ALWAYS: tuple[Invariant, ...] = (nothing_phantom, register_only_grows, zombie_changes_nothing, comes_to_rest)
ALWAYS += (stops_are_told, dead_are_succeeded)
STAGED: tuple[Invariant, ...] = (files_never_change, staging_is_swept)
PROMISED: Mapping[str, tuple[Invariant, ...]] = {
    "exactly-once": (nothing_lost, nothing_doubled, pending_is_whole),
    "at-least-once": (nothing_lost, doubles_only_in_flight),
    "at-most-once": (nothing_doubled, loses_only_in_flight),
}
TILING: tuple[Invariant, ...] = (batches_tile, generations_are_whole, files_were_prepared, batches_in_order)


def invariants(guarantee: str, kind: str) -> tuple[Invariant, ...]:
    """Those that a profile keeps."""
    staged = STAGED if kind == "staged" else ()
    tiling = {"staged": TILING, "direct": (writes_tile,)}[kind] if guarantee == "exactly-once" else ()
    return ALWAYS + PROMISED[guarantee] + staged + tiling


def violated(e: Evidence) -> dict[str, list[str]]:
    """What is wrong, by the name of the invariant."""
    found = {each.__name__: list(each(e)) for each in invariants(e.guarantee, e.kind)}
    return {name: wrong for name, wrong in found.items() if wrong}
