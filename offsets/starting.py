"""Where a first launch, or a new generation, begins: ``earliest``, ``latest`` or an offset for every partition.

Judges a whole specification and reports all that is wrong with it at once.  Never fills in what was not said.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from offsets.errors import ConfigError
from offsets.planning import TopicSnapshot
from offsets.structs import TopicState

EARLIEST, LATEST = -2, -1  # as in Structured Streaming's JSON and in Kafka's own ListOffsets
Spec = str | Mapping[str, Mapping[int, int]]  # "earliest", "latest" or {topic: {partition: offset, EARLIEST or LATEST}}


def starting_topics(spec: Spec, snapshot: Mapping[str, TopicSnapshot]) -> dict[str, TopicState]:
    """The cursor to begin with, for every partition of `snapshot`, topic ids pinned.

    An explicit `spec` must name exactly the partitions that exist, each with an offset in [beginning, end].  Raises
    ConfigError with every mistake and the nearest names.
    """
    wanted = _same_for_all(spec, snapshot) if isinstance(spec, str) else spec
    problems = list(_problems(wanted, snapshot))
    if problems:
        raise ConfigError(problems, "correct source.startingOffsets; nothing was written")
    return {name: TopicState(now.id, _resolved(wanted[name], now)) for name, now in snapshot.items()}


def _same_for_all(word: str, snapshot: Mapping[str, TopicSnapshot]) -> Mapping[str, Mapping[int, int]]:
    words = {"earliest": EARLIEST, "latest": LATEST}
    if word not in words:
        remedy = "correct source.startingOffsets; nothing was written"
        raise ConfigError(
            [f"source.startingOffsets: expected earliest, latest or JSON, found {word!r}{_nearest(word, words)}"],
            remedy,
        )
    return {name: dict.fromkeys(now.partitions, words[word]) for name, now in snapshot.items()}


def _problems(wanted: Mapping[str, Mapping[int, int]], snapshot: Mapping[str, TopicSnapshot]) -> Iterator[str]:
    for name in sorted(wanted.keys() - snapshot.keys()):
        yield f"source.startingOffsets names topic {name}, which is not read{_nearest(name, snapshot)}"
    for name, now in sorted(snapshot.items()):
        if name in wanted:
            yield from _topic_problems(name, wanted[name], now)
        else:
            hint = _nearest(name, wanted.keys() - snapshot.keys())
            yield f"source.startingOffsets says nothing about topic {name}{hint}"


def _topic_problems(name: str, wanted: Mapping[int, int], now: TopicSnapshot) -> Iterator[str]:
    for partition in sorted(wanted.keys() - now.partitions.keys()):
        yield f"{name}-{partition} does not exist: the topic has {_list_partitions(now)}"
    for partition, (beginning, end) in sorted(now.partitions.items()):
        if partition not in wanted:
            yield f"source.startingOffsets says nothing about {name}-{partition} [{beginning},{end}]"
        elif wanted[partition] not in (EARLIEST, LATEST) and not beginning <= wanted[partition] <= end:
            yield f"{name}-{partition} offset {wanted[partition]} is outside [{beginning},{end}]"


def _resolved(wanted: Mapping[int, int], now: TopicSnapshot) -> dict[int, int]:
    special = {p: {EARLIEST: beginning, LATEST: end} for p, (beginning, end) in now.partitions.items()}
    return {p: special[p].get(wanted[p], wanted[p]) for p in sorted(now.partitions)}


def _list_partitions(now: TopicSnapshot) -> str:
    return f"partitions 0 to {max(now.partitions)}" if now.partitions else "no partitions"


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(found)}?" if found else ""
