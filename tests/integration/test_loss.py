"""What Kafka no longer has: exit 3 with topic, partition and offsets, an unchanged register, a command that goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from offsets.manager import OffsetManager, current_owner
from offsets.stores import open_store
from tests.integration.jobs import Job, Process, Topics, command_in, once

COMMITTED = 30  # offset of both partitions before anything is lost
Loss = Callable[[Topics, Job, str], str]


def recreate(topics: Topics, job: Job, topic: str, records: int = 5) -> str:
    topics.delete(topic)
    topics.create(2, topic)
    topics.fill(topic, records, records)
    return rf"REPLACED {topic} "


def recreate_and_refill(topics: Topics, job: Job, topic: str) -> str:
    """Past our offsets: every offset of the register is in the log again, with other records."""
    return recreate(topics, job, topic, COMMITTED + 5)


def delete_records(topics: Topics, job: Job, topic: str) -> str:
    topics.fill(topic, 20, 20)
    topics.truncate(topic, 1, COMMITTED + 7)
    return f"EXPIRED {topic}-1 [{COMMITTED},{COMMITTED + 7})"


def commit_too_far(topics: Topics, job: Job, topic: str) -> str:
    """As after a restored cluster or an unclean election: the register is ahead of the log."""
    with closing(open_store(job.settings["offsets.store"])) as store:
        manager = OffsetManager(store, current_owner("test"))
        state = manager.read()
        assert state is not None
        manager.take()
        manager.reset({topic: replace(state.topics[topic], offsets={0: COMMITTED + 9, 1: COMMITTED})}, "test")
    return f"BEYOND_END {topic}-0 [{COMMITTED},{COMMITTED + 9})"


LOSSES: dict[str, tuple[Loss, dict[int, tuple[int, int]]]] = {
    "recreated": (recreate, {0: (0, 5), 1: (0, 5)}),
    "recreated and refilled": (recreate_and_refill, {0: (0, COMMITTED + 5), 1: (0, COMMITTED + 5)}),
    "expired": (delete_records, {0: (COMMITTED, COMMITTED + 20), 1: (COMMITTED + 7, COMMITTED + 20)}),
    "beyond the end": (commit_too_far, {}),
}
"""What happens, and the spans that are left to be landed by the new generation."""


@pytest.fixture
def committed(topics: Topics, job: Callable[..., Job]) -> Job:
    """A job that stands at COMMITTED in both partitions, without having landed anything."""
    topic = topics.create()
    topics.fill(topic, COMMITTED, COMMITTED)
    made = job(topic, source__startingOffsets="latest")
    assert made.run().status == 0
    assert made.offsets(topic) == {0: COMMITTED, 1: COMMITTED}
    return made


def stopped(job: Job) -> str:
    """Launches; asserts that it stops with 3 and one line, that nothing was written, and returns the line."""
    before = job.register_bytes(), job.everything()
    ended = job.run()
    assert ended.status == ended.summary["exitStatus"] == 3, ended.said
    (line,) = ended.complaints
    assert len(ended.stderr.splitlines()) == 1, ended.said
    assert (job.register_bytes(), job.everything()) == before
    return line


def goes_on(job: Job, line: str) -> Process:
    """What the line tells to type begins a new generation, and the next launch reads it to the end."""
    generation, words = job.register().generation, command_in(line, str(job.path), "reset_offsets.py")
    reset = job.operate("reset_offsets.py", *words)
    assert reset.returncode == 0, reset.stdout + reset.stderr
    ended = job.run()
    assert ended.status == 0, ended.said
    assert job.register().generation == generation + 1
    return ended


@pytest.mark.full  # tests/guards and tests/incidents have them without Spark
@pytest.mark.parametrize("kind", LOSSES)
def test_loss(committed: Job, topics: Topics, kind: str) -> None:
    """The stop names what is lost; the printed command lands what is readable, once."""
    topic = committed.settings["source.subscribe"]
    lose, left = LOSSES[kind]
    named = lose(topics, committed, topic)
    line = stopped(committed)
    assert line.startswith("data loss: ")
    assert named in line
    ends = {partition: until for partition, (_, until) in left.items()} or {0: COMMITTED, 1: COMMITTED}
    goes_on(committed, line)
    assert committed.offsets(topic) == ends
    assert committed.landed() == once(topic, left)


@pytest.mark.full
def test_recreated_after_landing(topics: Topics, job: Callable[..., Job]) -> None:
    """The same offsets of the old and the new topic lie in the sink side by side, under names of their generation."""
    topic = topics.create(1)
    topics.fill(topic, 10)
    made = job(topic)
    assert made.run().status == 0
    before = made.everything()
    recreate(topics, made, topic)
    goes_on(made, stopped(made))
    assert made.offsets(topic) == {0: 5, 1: 5}
    assert made.landed() == Counter({(topic, 0, n): 1 + (n < 5) for n in range(10)}) + once(topic, {1: (0, 5)})
    assert before.items() <= made.everything().items(), "what was published stays as it was"


def test_deleted(committed: Job, topics: Topics) -> None:
    """A topic that is gone is a loss, not a mistyped name; until it is there again, there is nothing to go on from."""
    topic = committed.settings["source.subscribe"]
    topics.delete(topic)
    line = stopped(committed)
    assert f"TOPIC_MISSING {topic}" in line
    assert f"create {topic} again" in line
    words = command_in(line, str(committed.path), "reset_offsets.py")
    assert words == ["--topic", topic, "--to-current", "--execute"]
    assert committed.operate("reset_offsets.py", *words).returncode == 3


def test_every_loss_at_once(topics: Topics, job: Callable[..., Job]) -> None:
    """One stop names the losses of all topics, and none of a topic that is whole."""
    names = [topics.create(1) for _ in range(3)]
    for topic in names:
        topics.fill(topic, COMMITTED)
    made = job(",".join(names), source__startingOffsets="latest")
    assert made.run().status == 0
    topics.delete(names[0])
    topics.fill(names[1], 1)
    topics.truncate(names[1], 0, COMMITTED + 1)
    line = stopped(made)
    assert f"TOPIC_MISSING {names[0]}" in line
    assert f"EXPIRED {names[1]}-0 [{COMMITTED},{COMMITTED + 1})" in line
    assert names[2] not in line


def test_new_partitions_begin_at_their_first_record(committed: Job, topics: Topics) -> None:
    """A partition that was added and filled while nobody ran is read from its beginning."""
    topic = committed.settings["source.subscribe"]
    topics.grow(topic, 3)
    topics.fill(topic, 4, 0, 12)
    ended = committed.run()
    assert ended.status == 0, ended.said
    assert committed.landed() == once(topic, {0: (COMMITTED, COMMITTED + 4), 2: (0, 12)})
    assert committed.offsets(topic) == {0: COMMITTED + 4, 1: COMMITTED, 2: 12}
    sources = ended.summary["sources"][0]
    assert sources["endOffset"][topic]["2"] == sources["latestOffset"][topic]["2"] == 12
