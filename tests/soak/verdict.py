"""Whether every record is there exactly once: from files, moved files and the producers' log, never by our verify."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tests.crash.reader import Lake
from tests.soak.producing import Place, Produced

READERS = 4
SILENT_SECONDS = 120.0
FRESH = {
    "group.id": "soak",
    "enable.auto.commit": "false",
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
    "enable.partition.eof": "true",
    "log_level": "0",
}


@dataclass(frozen=True)
class Verdict:
    """Counts of records, and what else should not be."""

    produced: int
    landed: int
    files: int
    lost: int
    doubled: int
    phantom: int
    lag: int
    wrong: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        return not (self.lost or self.doubled or self.phantom or self.lag or self.wrong)


@dataclass
class Landed:
    """What the files hold; `wrong`: files that are not as they were when they were first seen."""

    places: Counter[Place] = field(default_factory=Counter)
    numbers: dict[Place, int] = field(default_factory=dict)
    aborted: set[Place] = field(default_factory=set)
    files: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, content: bytes) -> None:
        self.files += 1
        for row in map(orjson.loads, content.splitlines()):
            place = row["topic"], row["partition"], row["offset"]
            self.places[place] += 1
            self.numbers[place] = row["number"]
            if row["aborted"]:
                self.aborted.add(place)


def landed(lakes: Iterable[Lake], lengths: dict[str, int]) -> Landed:
    """Every file in the lake and where the consumer has moved them."""
    found = Landed()
    listed = [(lake, name) for lake in lakes for name, _ in lake.list()]
    with ThreadPoolExecutor(READERS) as pool:
        for (_, name), content in zip(listed, pool.map(lambda each: each[0].read(each[1]), listed), strict=True):
            found.add(content)
            if lengths.get(name, len(content)) != len(content):
                found.wrong.append(f"{name} had {lengths[name]} bytes when it was seen first, and has {len(content)}")
    missing = lengths.keys() - {name for _, name in listed}
    found.wrong += [f"{name} was there and is gone" for name in sorted(missing)]
    doubled = [name for name, times in Counter(name for _, name in listed).items() if times > 1]
    found.wrong += [f"{name} was published again after it was moved away" for name in doubled]
    return found


def readable(bootstrap: str, partitions: dict[str, list[int]]) -> set[Place]:
    """What a fresh reader of committed records sees now."""
    left = {(topic, p) for topic, numbers in partitions.items() for p in numbers}
    found: set[Place] = set()
    with closing(Consumer({**FRESH, "bootstrap.servers": bootstrap})) as consumer:
        consumer.assign([TopicPartition(topic, p, 0) for topic, p in left])
        while left:
            for message in some(consumer):
                error = message.error()
                if error is None:
                    found.add((message.topic(), message.partition(), message.offset()))  # type: ignore[arg-type]
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic(), message.partition()))
                else:
                    raise KafkaException(error)
    return found


def some(consumer: Consumer) -> list[Message]:
    """The next ones.  Raises TimeoutError if none come."""
    end = time.monotonic() + SILENT_SECONDS
    while time.monotonic() < end:
        if found := consumer.consume(1000, 0.5):
            return found
    raise TimeoutError(f"the broker has served nothing for {SILENT_SECONDS:g} s")


def judge(sent: Produced, there: Landed, now: set[Place], compacted: set[str], lag: int, wrong: list[str]) -> Verdict:
    """`now`: what is readable; `compacted`: topics that may have lost acknowledged records before they were read."""
    kept = {place for place in sent.acknowledged if place[0] not in compacted}
    return Verdict(
        produced=sent.records,
        landed=len(there.places),
        files=there.files,
        lost=len((now | kept) - there.places.keys()),
        doubled=there.places.total() - len(there.places) + numbered_twice(there),
        phantom=sum(phantom(place, sent, there, now) for place in there.places),
        lag=lag,
        wrong=(*wrong, *there.wrong),
    )


def numbered_twice(there: Landed) -> int:
    """Records beyond the first that carry one number of a partition: each was committed once."""
    numbers = Counter((topic, p, there.numbers[topic, p, offset]) for topic, p, offset in there.places)
    return numbers.total() - len(numbers)


def phantom(place: Place, sent: Produced, there: Landed, now: set[Place]) -> bool:
    """Whether it landed though no transaction with it was committed, or as another record than was sent."""
    topic, partition, _ = place
    number = there.numbers[place]
    if place in sent.acknowledged:
        return sent.acknowledged[place] != number or place in there.aborted
    return place in there.aborted or not (place in now or (topic, partition, number) in sent.unknown)
