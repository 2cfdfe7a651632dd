"""Where a first launch, or a new generation, begins: ``earliest``, ``latest``, an offset or a time for every partition.

Judges a whole specification and reports all that is wrong with it at once.  Never fills in what was not said, never
asks Kafka: the offsets that belong to times are given to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from offsets.errors import ConfigError
from offsets.nearest import nearest
from offsets.snapshot import Snapshot, TopicSnapshot
from offsets.structs import TopicPartition, TopicState

EARLIEST, LATEST = -2, -1  # as in Structured Streaming's JSON and in Kafka's own ListOffsets
OFFSETS, TIMES = "source.startingOffsets", "source.startingOffsetsByTimestamp"
Numbers = Mapping[str, Mapping[int, int]]  # {topic: {partition: offset, EARLIEST or LATEST; or ms since the epoch}}
Spec = str | Numbers  # "earliest", "latest" or offsets


@dataclass(frozen=True)
class AtTimes:
    """The first record at or after a time: one for all (ms since the epoch), or one for every partition.

    `latest`: begin at the end where there is no such record, instead of stopping.
    """

    times: int | Numbers
    latest: bool = False


def starting_topics(spec: Spec, snapshot: Snapshot) -> dict[str, TopicState]:
    """The cursor to begin with, for every partition of `snapshot`, topic ids pinned.

    An explicit `spec` must name exactly the partitions that exist, each with an offset in [beginning, end].  Raises
    ConfigError with every mistake and the nearest names.
    """
    wanted = _same_for_all(spec, snapshot) if isinstance(spec, str) else spec
    _refuse([*_unnamed(OFFSETS, wanted, snapshot), *_outside(wanted, snapshot)], OFFSETS)
    return {name: TopicState(now.id, _resolved(wanted[name], now), now.epochs) for name, now in snapshot.items()}


def wanted_times(start: AtTimes, snapshot: Snapshot) -> dict[TopicPartition, int]:
    """The time to look up for every partition of `snapshot`.  Raises ConfigError unless exactly these are named."""
    times = start.times
    if isinstance(times, int):
        times = {name: dict.fromkeys(now.partitions, times) for name, now in snapshot.items()}
    _refuse(list(_unnamed(TIMES, times, snapshot)), TIMES)
    return {TopicPartition(name, p): time for name, of in times.items() for p, time in of.items()}


def topics_at_times(
    start: AtTimes, found: Mapping[TopicPartition, int | None], before: Snapshot, snapshot: Snapshot
) -> dict[str, TopicState]:
    """As `starting_topics`, from what Kafka `found` for `wanted_times` between `before` and `snapshot`.

    None: no record at or after the time.  Raises ConfigError with all of these, unless `start.latest`: then at the end
    of `before`, as what has come since may be of that time.
    """
    late = [] if start.latest else [tp for tp, offset in sorted(found.items()) if offset is None]
    _refuse([f"{tp.topic}-{tp.partition}: no record at or after the time that is set" for tp in late], None)
    spec = {
        name: {
            p: _since(found[TopicPartition(name, p)], before[name].partitions[p], span)
            for p, span in now.partitions.items()
        }
        for name, now in snapshot.items()
    }
    return starting_topics(spec, snapshot)


def _since(offset: int | None, before: tuple[int, int], now: tuple[int, int]) -> int:
    """Retention may have passed the offset since it was found: what is left is at or after the time as well."""
    (_, end_before), (beginning, end) = before, now
    return max(min(end_before, end) if offset is None else offset, beginning)


def _refuse(problems: list[str], setting: str | None) -> None:
    if problems:
        how = (
            f"correct {setting}"
            if setting
            else "choose an earlier time, or source.startingOffsetsByTimestampStrategy = latest"
        )
        raise ConfigError(problems, f"{how}; nothing was written")


def _same_for_all(word: str, snapshot: Snapshot) -> Numbers:
    words = {"earliest": EARLIEST, "latest": LATEST}
    if word not in words:
        _refuse([f"{OFFSETS}: expected earliest, latest or JSON, found {word!r}{nearest(word, words)}"], OFFSETS)
    return {name: dict.fromkeys(now.partitions, words[word]) for name, now in snapshot.items()}


def _unnamed(setting: str, wanted: Numbers, snapshot: Snapshot) -> Iterator[str]:
    """What is named and not there, or there and not named."""
    for name in sorted(wanted.keys() - snapshot.keys()):
        yield f"{setting} names topic {name}, which is not read{nearest(name, snapshot)}"
    for name, now in sorted(snapshot.items()):
        if name in wanted:
            yield from _unnamed_partitions(setting, name, wanted[name], now)
        else:
            hint = nearest(name, wanted.keys() - snapshot.keys())
            yield f"{setting} says nothing about topic {name}{hint}"


def _unnamed_partitions(setting: str, name: str, wanted: Mapping[int, int], now: TopicSnapshot) -> Iterator[str]:
    for partition in sorted(wanted.keys() - now.partitions.keys()):
        yield f"{name}-{partition} is not read: {_list_partitions(now)}"
    for partition, (beginning, end) in sorted(now.partitions.items()):
        if partition not in wanted:
            yield f"{setting} says nothing about {name}-{partition} [{beginning},{end}]"


def _outside(wanted: Numbers, snapshot: Snapshot) -> Iterator[str]:
    for name, now in sorted(snapshot.items()):
        for partition, (beginning, end) in sorted(now.partitions.items()):
            offset = wanted.get(name, {}).get(partition, EARLIEST)
            if offset not in (EARLIEST, LATEST) and not beginning <= offset <= end:
                yield f"{name}-{partition} offset {offset} is outside [{beginning},{end}]"


def _resolved(wanted: Mapping[int, int], now: TopicSnapshot) -> dict[int, int]:
    special = {p: {EARLIEST: beginning, LATEST: end} for p, (beginning, end) in now.partitions.items()}
    return {p: special[p].get(wanted[p], wanted[p]) for p in sorted(now.partitions)}


def _list_partitions(now: TopicSnapshot) -> str:
    return (
        f"its partitions are {', '.join(map(str, sorted(now.partitions)))}"
        if now.partitions
        else "it has no partitions"
    )
