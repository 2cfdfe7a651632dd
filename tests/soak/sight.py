"""Looks at the register and at staging, past the proxies, and sees to it that the register only moves forward."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field

import psutil
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from demonstration.launches import Launch, register

from offsets.errors import StreamError, UnavailableError
from offsets.filesystems import open_filesystem
from offsets.stores import open_store
from offsets.structs import State

ANSWER_SECONDS = 3.0


@dataclass(frozen=True)
class Moment:
    """A batch in flight, and the launch whose batch it is."""

    launch: Launch
    epoch: int
    seq: int


@dataclass
class Sight:
    """`wrong`: what the register should never have done.  Not for two threads at once."""

    store_url: str
    sink_url: str
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._store = open_store(self.store_url, 4.0, ANSWER_SECONDS)
        self._sink = open_filesystem(self.sink_url)
        self._last: State | None = None

    def state(self) -> State | None:
        """The register, or None if there is none or it cannot be seen now."""
        try:
            state = register(self._store)
        except UnavailableError:
            return None
        except StreamError as e:
            self.wrong.append(str(e))
            return None
        if state is not None and self._last is not None:
            self.wrong += went_back(self._last, state)
        self._last = state or self._last
        return state

    def moment(self, launches: list[Launch]) -> Moment | None:
        """The batch that is staged, prepared or being published now by a launch that lives and is not frozen."""
        state = self.state()
        if state is None or not (state.pending or self._staged(state)):
            return None
        for launch in launches:
            if launch.running and at_work(launch, state.owner.pid):
                return Moment(launch, state.epoch, state.seq)
        return None

    def prepared(self) -> bool:
        """Whether the register shows a batch that is decided and not committed."""
        state = self.state()
        return state is not None and state.pending is not None

    def still(self, moment: Moment) -> bool:
        """Whether that batch is not committed, as far as can be seen."""
        state = self.state()
        return state is None or state.seq == moment.seq

    def _staged(self, state: State) -> bool:
        try:
            return bool(self._sink.list(f"_staging/{state.epoch}/{state.seq}"))
        except (StreamError, OSError):
            return False

    def close(self) -> None:
        self._store.close()


def at_work(launch: Launch, driver: int) -> bool:
    """Whether it has this driver, alive and awake."""
    with suppress(psutil.NoSuchProcess):
        return any(p.pid == driver and p.status() != psutil.STATUS_STOPPED for p in launch.family())
    return False


def went_back(before: State, now: State) -> list[str]:
    """What shrank, though it never may."""
    wrong = [
        f"{what} went back from {old} to {new}"
        for what, old, new in (("epoch", before.epoch, now.epoch), ("batch", before.seq, now.seq))
        if new < old
    ]
    for topic, known in before.topics.items():
        for partition, old in known.offsets.items():
            new = now.topics[topic].offsets[partition]
            if new < old:
                wrong.append(f"{topic}-{partition} went back from {old} to {new}")
    return wrong


def partitions(bootstrap: str, topics: Iterable[str]) -> dict[str, list[int]]:
    """Of each topic, as the broker has them now."""
    known = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=30).topics
    return {topic: sorted(known[topic].partitions) for topic in topics}


def lag(bootstrap: str, store_url: str, partitions: dict[str, list[int]]) -> int:
    """Records and markers between the committed offsets and the ends that a reader of committed records sees."""
    with closing(open_store(store_url, 4.0, ANSWER_SECONDS)) as store:
        state = register(store)
    places = [TopicPartition(topic, p) for topic, numbers in partitions.items() for p in numbers]
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    asked = admin.list_offsets(
        dict.fromkeys(places, OffsetSpec.latest()), isolation_level=IsolationLevel.READ_COMMITTED
    )
    known = {name: topic.offsets for name, topic in state.topics.items()} if state else {}
    return sum(
        future.result(30).offset - known.get(place.topic, {}).get(place.partition, 0) for place, future in asked.items()
    )
