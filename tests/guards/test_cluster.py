"""Three brokers: leaders that die in mid-run, and unclean elections that put other records at our offsets (K8)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from servers.cluster import Sandbox
from servers.daemon import wait_for
from servers.kafka_cluster import KafkaCluster
from streaming.source.broker import Broker
from tests.guards.rehearsal import landed_by, launch, obeyed, stopped
from tests.integration.jobs import Job, new_job, once

pytestmark = pytest.mark.full
FIRST, SECOND = 1, 2  # the two replicas; the third node keeps the quorum


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox, java_home: Path) -> Iterator[KafkaCluster]:
    """Three nodes; they end with the module, or with the sandbox."""
    made = KafkaCluster(sandbox.data / "nodes")
    try:
        made.up()
        yield made
    finally:
        made.down(graceful=False)


@pytest.fixture
def nodes(cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """All of them up, before and after the test."""
    yield cluster
    cluster.up()


class Replicated:
    """A topic of one partition with a replica on FIRST, its leader, and one on SECOND."""

    def __init__(self, nodes: KafkaCluster, unclean: bool) -> None:
        self.nodes, self.name = nodes, f"replicated-{uuid.uuid4().hex[:8]}"
        self._admin = AdminClient({"bootstrap.servers": nodes.bootstrap, "log_level": 0})
        config = {"unclean.leader.election.enable": str(unclean).lower()}
        wanted = NewTopic(self.name, num_partitions=1, replica_assignment=[[FIRST, SECOND]], config=config)
        for future in self._admin.create_topics([wanted]).values():
            future.result(30)
        wait_for(lambda: self.leader() == FIRST, 30, "the topic to have its leader")

    def leader(self) -> int:
        try:
            found = self._admin.list_topics(self.name, timeout=5).topics[self.name]
        except KafkaException:
            return -1
        return found.partitions[0].leader if found.partitions else -1

    def in_sync(self) -> set[int]:
        return set(self._admin.list_topics(self.name, timeout=5).topics[self.name].partitions[0].isrs)

    def fill(self, count: int, what: str = "old", acks: str = "all") -> None:
        producer = Producer({"bootstrap.servers": self.nodes.bootstrap, "acks": acks, "log_level": 0})
        last = [-1]
        for n in range(count):
            producer.produce(
                self.name, f"{what} {n}".encode(), partition=0, on_delivery=lambda _, m: last.append(m.offset())
            )
        assert producer.flush(60) == 0
        wait_for(lambda: self.end() == last[-1] + 1, 60, "readers to see what was written")

    def end(self) -> int:
        at = TopicPartition(self.name, 0)
        return int(self._admin.list_offsets({at: OffsetSpec.latest()})[at].result(30).offset)

    def isolate_leader(self) -> None:
        """SECOND dies: it will never have seen what FIRST takes from now on."""
        self.nodes.brokers[SECOND].kill()
        wait_for(lambda: self.in_sync() == {FIRST}, 60, "the leader to be alone")

    def elect_other(self) -> None:
        """FIRST dies, and SECOND comes back."""
        self.nodes.brokers[FIRST].kill()
        self.nodes.brokers[SECOND].start()
        self.nodes.brokers[SECOND].wait_ready()
        wait_for(lambda: self.leader() == SECOND, 60, "an unclean election")


@pytest.fixture
def job(nodes: KafkaCluster, tmp_path: Path) -> Callable[[Replicated], Job]:
    return lambda topic: new_job(tmp_path / "job", nodes, topic.name)  # type: ignore[arg-type]


def values(job: Job) -> Counter[str]:
    return Counter(str(row["value"]) for row in job.rows())


def test_a_leader_dies_in_mid_range(nodes: KafkaCluster, job: Callable[[Replicated], Job]) -> None:
    """SIGKILL of the leader while a task reads: the run goes on with the other replica, each record once."""
    topic = Replicated(nodes, unclean=False)
    topic.fill(30_000)
    made = job(topic)
    ended = launch(made, at={"fetch.mid": nodes.brokers[FIRST].kill})
    assert ended.status in (0, 69), ended.said
    wait_for(lambda: topic.leader() == SECOND, 60, "the other replica to lead")
    topic.fill(5, acks="1")
    landed_by(made)
    assert made.landed() == once(topic.name, {0: (0, 30_005)})


def test_the_controller_dies(nodes: KafkaCluster) -> None:
    """A driver's connection outlives the node that answers for topics: asked again, it finds another one."""
    topic = Replicated(nodes, unclean=False)
    with closing(Broker({"bootstrap.servers": nodes.bootstrap}, 60.0)) as broker:
        before = broker.snapshot([topic.name])
        controller = broker._client.list_topics(timeout=30).controller_id
        nodes.brokers[controller].kill()
        after = broker.snapshot([topic.name])
    assert after[topic.name].id == before[topic.name].id
    assert after[topic.name].partitions == {0: (0, 0)}


def test_a_clean_change_of_leader_is_no_truncation(nodes: KafkaCluster, job: Callable[[Replicated], Job]) -> None:
    """Another leader with every record: two launches go on, with records and without; the register knows its epoch."""
    topic = Replicated(nodes, unclean=True)
    topic.fill(20)
    made = job(topic)
    landed_by(made)
    before = made.register().topics[topic.name].epochs[0]
    nodes.brokers[FIRST].kill()
    wait_for(lambda: topic.leader() == SECOND, 60, "the other replica to lead")
    assert landed_by(made).summary["exitReason"] == "nothing new"
    topic.fill(5, acks="1")
    landed_by(made)
    assert made.landed() == once(topic.name, {0: (0, 25)})
    assert made.register().topics[topic.name].epochs[0] > before


@pytest.mark.parametrize("refill", [5, 25])
def test_an_unclean_election(nodes: KafkaCluster, job: Callable[[Replicated], Job], refill: int) -> None:
    """Records that we have landed are gone: 3, naming them, also when others lie at their offsets; the printed command
    lands those others, each once."""
    topic = Replicated(nodes, unclean=True)
    topic.fill(20)
    made = job(topic)
    topic.isolate_leader()
    topic.fill(10, "lost", acks="1")
    landed_by(made)
    assert made.offsets(topic.name) == {0: 30}
    topic.elect_other()
    topic.fill(refill, "new", acks="1")
    line = stopped(made, 3)
    assert f"{'BEYOND_END' if refill < 10 else 'TRUNCATED'} {topic.name}-0 [20,30)" in line
    obeyed(made, line)
    assert made.offsets(topic.name) == {0: 20 + refill}
    assert values(made) == Counter(
        [f"old {n}" for n in range(20)] + [f"lost {n}" for n in range(10)] + [f"new {n}" for n in range(refill)]
    )
    assert landed_by(made).summary["exitReason"] == "nothing new"


def test_truncated_while_it_was_read(nodes: KafkaCluster, job: Callable[[Replicated], Job]) -> None:
    """The log is cut and filled again between plan and fetch: nothing of what was read then is published."""
    topic = Replicated(nodes, unclean=True)
    topic.fill(20)
    made = job(topic)
    landed_by(made)
    topic.isolate_leader()
    topic.fill(10, "lost", acks="1")

    def replace() -> None:
        topic.elect_other()
        topic.fill(25, "new", acks="1")

    line = stopped(made, 3, at={"plan.after": replace})
    assert f"TRUNCATED {topic.name}-0 [20,30)" in line
    landed_by(made)
    assert values(made) == Counter([f"old {n}" for n in range(20)] + [f"new {n}" for n in range(25)])
