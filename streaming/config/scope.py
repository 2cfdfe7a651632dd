"""`--topic t` and `--topic t:0,1` of operators' scripts: which partitions are meant.  Decides; contacts nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from offsets.errors import ConfigError
from offsets.nearest import nearest
from offsets.structs import TopicPartition
from streaming.config.values import TOPIC_NAME

Scope = Mapping[str, frozenset[int] | None]  # None: all partitions of the topic
Existing = Mapping[str, Collection[int]]  # the partitions that there are to choose from, by topic
EXAMPLE = "give a topic, or a topic and partitions: orders, orders:0 or orders:0,1"


def scope_of(texts: Iterable[str]) -> Scope:
    """What the options say together.  Raises ConfigError with every mistake."""
    scope: dict[str, frozenset[int] | None] = {}
    problems = []
    for text in texts:
        topic, colon, numbers = text.partition(":")
        words = numbers.split(",") if colon else []
        if not TOPIC_NAME.fullmatch(topic) or not all(word.isascii() and word.isdecimal() for word in words):
            problems.append(f"--topic {text}: {EXAMPLE}")
            continue
        before = scope.get(topic, frozenset())
        whole = not colon or before is None
        scope[topic] = None if whole else (before or frozenset()) | frozenset(map(int, words))
    if problems:
        raise ConfigError(problems, "see --help")
    return scope


def within(scope: Scope, existing: Existing, lines: Mapping[TopicPartition, int] | None = None) -> dict[str, list[int]]:
    """The partitions of `existing` that `scope` names, sorted.  `lines`: where in a file each is named.

    Raises ConfigError with everything that does not exist and what is nearest to it.
    """
    if problems := list(_strangers(scope, existing, lines or {})):
        raise ConfigError(problems, "nothing was written")
    return {name: sorted(existing[name] if named is None else named) for name, named in sorted(scope.items())}


def _strangers(scope: Scope, existing: Existing, lines: Mapping[TopicPartition, int]) -> Iterator[str]:
    for topic, named in scope.items():
        if topic not in existing:
            first = min((lines[tp] for p in named or () if (tp := TopicPartition(topic, p)) in lines), default=None)
            yield f"{_at(first)}topic {topic} is neither in the register nor read by the job{nearest(topic, existing)}"
            continue
        for partition in sorted((named or frozenset()) - set(existing[topic])):
            where = _at(lines.get(TopicPartition(topic, partition)))
            yield f"{where}{topic} has no partition {partition}: it has {spans(existing[topic])}"


def _at(line: int | None) -> str:
    return "" if line is None else f"line {line}: "


def spans(numbers: Collection[int]) -> str:
    """Numbers for people: "0 to 3, 7"; "none"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join(" to ".join(map(str, run)) for run in runs) or "none"
