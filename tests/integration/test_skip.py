"""source.onDataLoss = skip on real servers: the run goes on, what is readable lands once, the hole is on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from offsets.manager import OffsetManager, current_owner
from offsets.stores import open_store
from offsets.structs import TopicState
from streaming.commands.verify_output import main as verify
from tests.integration.jobs import Job, Topics, once


def edit(job: Job, offsets: Mapping[str, dict[int, int]]) -> None:
    """Sets offsets of the register, as a restored cluster would show them: beyond what there is."""
    with closing(open_store(job.settings["offsets.store"])) as store:
        manager = OffsetManager(store, current_owner("test"))
        state = manager.read()
        assert state is not None
        manager.take()
        changed: dict[str, TopicState] = {t: replace(state.topics[t], offsets=found) for t, found in offsets.items()}
        manager.reset({**state.topics, **changed}, "test")


def holes(job: Job, capsys: pytest.CaptureFixture[str]) -> list[tuple[Any, ...]]:
    """What verification knows to be missing; it must find nothing else."""
    capsys.readouterr()
    status = verify("", [str(job.path), "--format", "json"])
    verdict = json.loads(capsys.readouterr().out)
    assert (status, verdict["findings"]) == (0, [])
    return [tuple(hole.values()) for hole in verdict["holes"]]


def test_every_kind_of_loss_is_skipped(
    topics: Topics, job: Callable[..., Job], capsys: pytest.CaptureFixture[str]
) -> None:
    """All at once, one run: each partition goes on at its first readable record, and one record names every hole."""
    expired, replaced, beyond = (topics.create(1) for _ in range(3))
    for topic in (expired, replaced, beyond):
        topics.fill(topic, 10)
    made = job(f"{expired},{replaced},{beyond}", source__onDataLoss="skip", source__startingOffsets="latest")
    assert made.run().status == 0
    topics.fill(expired, 8)
    topics.truncate(expired, 0, 13)
    topics.delete(replaced)
    topics.create(1, replaced)
    topics.fill(replaced, 12)  # past our offset: no look at offsets alone would tell
    edit(made, {beyond: {0: 17, 5: 3}})  # of a partition that is not there, too

    ended = made.run()
    assert (ended.status, ended.complaints) == (0, []), ended.said
    assert made.landed() == once(expired, {0: (13, 18)}) + once(replaced, {0: (0, 12)})
    lost = {
        (2, "BEYOND_END", beyond, 0, 10, 17),
        (2, "EXPIRED", expired, 0, 10, 13),
        (2, "REPLACED", replaced, 0, 10, 10),
        (2, "VANISHED", beyond, 5, 3, 3),
    }
    assert {tuple(loss.values()) for loss in ended.summary["dataLoss"]} == lost
    assert f"data loss: EXPIRED {expired}-0 [10,13), skipped by generation 2" in ended.stderr
    assert set(holes(made, capsys)) == lost
    topics.fill(beyond, 2)
    ended = made.run()
    assert (ended.status, ended.summary["dataLoss"]) == (0, []), ended.said
    assert made.landed() == once(expired, {0: (13, 18)}) + once(replaced, {0: (0, 12)}) + once(beyond, {0: (10, 12)})
    assert set(holes(made, capsys)) == lost, "a hole is known for ever"


@pytest.mark.full
def test_a_topic_that_is_replaced_under_a_batch_is_read_anew(
    topics: Topics, job: Callable[..., Job], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its records were read and staged: nothing of them appears, and the same run reads the new topic; then it is gone.

    A topic that is missing stops the run also of a job that skips: there is nothing to go on from.
    """
    topic = topics.create(1)
    topics.fill(topic, 10)
    made = job(topic, source__onDataLoss="skip", source__maxOffsetsPerTrigger="5")
    made.gate(closed_from=5)
    run = made.start("--available-now")
    made.wait_in_flight()
    topics.delete(topic)
    topics.create(1, topic)
    topics.fill(topic, 7)
    made.open_gate()
    assert run.wait().status == 0, run.said
    assert made.landed() == once(topic, {0: (0, 5)}) + once(topic, {0: (0, 7)})
    assert "is given up and planned anew" in run.stderr
    assert holes(made, capsys) == [(1, "REPLACED", topic, 0, 5, 5)]

    topics.delete(topic)
    before = made.offsets(topic)
    ended = made.run()
    assert ended.status == 3, ended.said
    (line,) = ended.complaints
    assert f"TOPIC_MISSING {topic}" in line
    assert "reset_offsets" not in line
    assert made.offsets(topic) == before
