"""The driver's view of Kafka: topic ids, partitions, and what of each can be read.  Runs on the driver; reads only.

It says what is there and decides nothing: whether a missing topic, another id or an offset behind the register is a
loss is for `offsets.losses`.  What it cannot see now (a partition between two leaders, a broker that restarts) it
asks again until the deadline and then raises; it is never reported as gone or empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, OffsetSpec

from offsets.errors import StreamError, UnavailableError
from offsets.snapshot import Led, TopicSnapshot
from offsets.structs import TopicPartition
from streaming.source.client import open_admin
from streaming.source.truncation import truncated

T = TypeVar("T")
RETRY_SECONDS = 0.1
# Of a deadline, without any answer; the rest is for a new client: librdkafka's does not forget a dead node that was its
# controller, waits for that alone and connects to it 5,000 times a second.
FIRST_SHARE = 1 / 3

_ABSENT = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}
_NOT_ADMITTED = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}


class _Description(NamedTuple):
    id: str
    partitions: tuple[int, ...]


class _Offsets(NamedTuple):
    """Of one topic, by partition."""

    spans: dict[int, tuple[int, int]]
    epochs: dict[int, int]
    highs: dict[int, int]


class _Again(Exception):
    """Not to be seen right now: ask again while the deadline allows."""


class Broker:
    """One connection to the cluster, kept across batches.  `deadline`: seconds that any one call may take.

    Every method raises UnavailableError (naming bootstrap.servers) past the deadline, and StreamError when the
    brokers refuse to say, naming the topic and the operation.  Used by one thread.
    """

    def __init__(
        self,
        client: Mapping[str, str],
        deadline: float,
        open_: Callable[..., AdminClient] = open_admin,
    ) -> None:
        self._properties, self._servers = client, client.get("bootstrap.servers", "")
        self._deadline = deadline
        self._error: KafkaError | None = None
        self._whole: Mapping[TopicPartition, Led] = {}
        self._open = partial(open_, client, self._noted)
        self._admin: AdminClient | None = self._open()
        self._seen: dict[tuple[str, ...], dict[str, _Description]] = {}

    def snapshot(self, topics: Sequence[str]) -> dict[str, TopicSnapshot]:
        """Id, (beginning, last stable offset) and leader epochs of each topic; a topic that does not exist is absent.

        The id was read after the offsets: offsets of a topic that was recreated in between are never returned under
        the old id.  End offsets may be stale for a moment after a change of leader: a caller that would stop because
        of what it sees takes a second snapshot about a second later, and stops only if that agrees.
        """
        wanted = tuple(dict.fromkeys(topics))
        return self._within_deadline(lambda left: self._look(wanted, left))

    def shapes(self, topics: Sequence[str]) -> dict[str, tuple[str, frozenset[int]]]:
        """Id and partitions of each topic that there is, as of now: what two looks must agree in."""
        described = self._within_deadline(lambda left: self._describe(tuple(topics), left))
        return {topic: (seen.id, frozenset(seen.partitions)) for topic, seen in described.items()}

    def truncated(self, led: Mapping[TopicPartition, Led]) -> dict[TopicPartition, int]:
        """Where the log of the epoch ends, for every partition in which that is before the offset."""
        if led == self._whole:  # a run that finds nothing new looks many times before the register knows better
            return {}
        found = truncated(self._properties, led, self._deadline)
        self._whole = {} if found else led
        return found

    def existing_topics(self) -> list[str]:
        """Names of all topics that the client may see, without Kafka's own; for suggesting the nearest name."""
        metadata = self._within_deadline(self._list_topics)
        return sorted(name for name in metadata.topics if not name.startswith("__"))

    def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """The first offset at or after each time (ms since the epoch) that a reader of committed records can reach.

        None: there is none.  Says nothing of topic ids: take a snapshot before and after.
        """
        return self._within_deadline(lambda left: self._look_up(times, left))

    def close(self) -> None:
        """Gives up the connection; no call is possible after it."""
        self._admin = None

    def _within_deadline(self, ask: Callable[[float], T]) -> T:
        until = time.monotonic() + self._deadline
        why, first = "no answer", self._deadline * FIRST_SHARE
        while (left := until - (began := time.monotonic())) > 0:
            patience = min(left, first)
            try:
                answer = ask(patience)
            except _Again as e:
                self._seen.clear()
                self._raise_if_not_admitted()
                why = f"{e}; {self._error.str()}" if self._error else str(e)
                if time.monotonic() - began >= patience:
                    self._admin, first = self._open(), self._deadline
            else:
                self._error = None
                return answer
            time.sleep(max(0.0, min(RETRY_SECONDS, until - time.monotonic())))
        raise UnavailableError(
            f"Kafka did not answer within {self._deadline:g} s: bootstrap.servers={self._servers} ({why})",
            "see that the brokers run and that bootstrap.servers names them, then launch again; nothing was changed",
        )

    def _look(self, topics: tuple[str, ...], left: float) -> dict[str, TopicSnapshot]:
        before = self._seen.get(topics) or self._describe(topics, left)
        offsets = self._offsets(before, left)
        after = self._describe(topics, left)
        if after != before:
            raise _Again("topics are being created, deleted or enlarged")
        self._seen = {topics: after}
        nothing: _Offsets = _Offsets({}, {}, {})
        return {
            topic: TopicSnapshot(seen.id, of.spans, of.epochs, high_watermarks=of.highs)
            for topic, seen in after.items()
            for of in (offsets.get(topic, nothing),)
        }

    def _describe(self, topics: tuple[str, ...], left: float) -> dict[str, _Description]:
        futures = self._client.describe_topics(TopicCollection(list(topics)), request_timeout=left)
        found = ((topic, self._result(f, left, topic, absent=True)) for topic, f in futures.items())
        return {t: _Description(str(d.topic_id), tuple(sorted(p.id for p in d.partitions))) for t, d in found if d}

    def _offsets(self, described: Mapping[str, _Description], left: float) -> dict[str, _Offsets]:
        wanted = [Place(t, p) for t, d in described.items() for p in d.partitions]
        questions = (
            # First: what was written between the two questions must not look like an open transaction's.
            (OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED),
            (OffsetSpec.earliest(), IsolationLevel.READ_COMMITTED),
            (OffsetSpec.latest(), IsolationLevel.READ_COMMITTED),
        )
        asked = [self._ask_offsets(dict.fromkeys(wanted, spec), left, level) for spec, level in questions]
        found: dict[str, _Offsets] = {}
        for tp in wanted:
            high, first, end = (self._result(f[tp], left, f"{tp.topic}-{tp.partition}") for f in asked)
            of = found.setdefault(tp.topic, _Offsets({}, {}, {}))
            of.spans[tp.partition], of.highs[tp.partition] = (first.offset, end.offset), high.offset
            if end.leader_epoch is not None:
                of.epochs[tp.partition] = end.leader_epoch
        return found

    def _look_up(self, times: Mapping[TopicPartition, int], left: float) -> dict[TopicPartition, int | None]:
        wanted = {Place(*tp): OffsetSpec.for_timestamp(time) for tp, time in times.items()}
        asked = self._ask_offsets(wanted, left)
        found = {tp: self._result(asked[Place(*tp)], left, f"{tp.topic}-{tp.partition}").offset for tp in times}
        return {tp: offset if offset >= 0 else None for tp, offset in found.items()}

    def _ask_offsets(
        self,
        wanted: Mapping[Place, OffsetSpec],
        left: float,
        level: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> Mapping[Any, Any]:
        """Sends at once, one request a broker; under read_committed the latest offset is the last stable one."""
        if not wanted:
            return {}
        return self._client.list_offsets(dict(wanted), isolation_level=level, request_timeout=left)

    def _list_topics(self, left: float) -> Any:
        try:
            return self._client.list_topics(timeout=left)
        except KafkaException as e:
            raise self._stop_or_again(e.args[0], "the cluster") from e

    def _result(self, future: Any, left: float, what: str, absent: bool = False) -> Any:
        """The answer about `what`; None for a topic that does not exist, if `absent` may be an answer."""
        try:
            return future.result(left + 1.0)
        except KafkaException as e:
            error = e.args[0]
            if absent and error.code() in _ABSENT:
                return None
            raise self._stop_or_again(error, what) from e
        except FutureTimeoutError as e:  # Python 3.10: not the built-in one yet
            raise _Again("no answer") from e

    def _stop_or_again(self, error: KafkaError, what: str) -> Exception:
        if error.code() in _FORBIDDEN:
            return StreamError(
                f"not authorised to DESCRIBE {what} ({error.name()})", "grant the operation to the job's principal"
            )
        return _Again(f"{what}: {error.str()}")

    def _raise_if_not_admitted(self) -> None:
        """Wrong credentials or certificates show only as a connection that never comes up."""
        self._client.poll(0)
        if self._error is not None and self._error.code() in _NOT_ADMITTED:
            raise StreamError(
                f"Kafka refused the connection: bootstrap.servers={self._servers} ({self._error.str()})",
                "correct security.protocol, sasl.* and ssl.* of the job's [kafka] section",
            )

    def _noted(self, error: KafkaError) -> None:
        self._error = error

    @property
    def _client(self) -> AdminClient:
        if self._admin is None:
            raise RuntimeError("the broker connection is closed")
        return self._admin
