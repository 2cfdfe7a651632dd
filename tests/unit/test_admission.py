"""What `--recover offsets` makes of the offsets that a person typed: the printed remedy works, a slip stops it."""

from __future__ import annotations

import json
import shlex

import pytest

from offsets.errors import ConfigError, DataLossError
from offsets.planning import TopicSnapshot, plan
from offsets.structs import TopicState
from streaming.admission import reset_topics
from streaming.config import load

JOB = """
[job]
name = j
[source]
subscribe = t,new
startingOffsets = earliest
[kafka]
bootstrap.servers = localhost:9092
[offsets]
store = file:///s
[sink]
path = file:///o
"""


def test_the_printed_remedy_is_accepted_while_partitions_and_topics_are_new() -> None:
    """Records have expired, and partition 1 and a topic came meanwhile: the command begins those at their beginning."""
    register = {"t": TopicState("i", {0: 5, 2: 7})}
    snapshot = {
        "t": TopicSnapshot("i", {0: (10, 20), 1: (3, 7), 2: (0, 9)}),
        "new": TopicSnapshot("n", {0: (1, 4)}),
    }
    with pytest.raises(DataLossError) as caught:
        plan(register, snapshot, job="j.cfg")
    words = shlex.split(caught.value.remedy)
    reset = reset_topics(load("j.cfg", JOB, [words[words.index("--set") + 1]]), register, snapshot)
    assert reset == {"t": TopicState("i", {0: 10, 1: 3, 2: 7}), "new": TopicState("n", {0: 1})}
    assert plan(reset, snapshot).ranges


@pytest.mark.parametrize("named", [{"tt": {"0": 3}}, {"t": {"0": 3, "9": 1}}])
def test_a_slip_of_the_pen_is_no_reset(named: dict[str, dict[str, int]]) -> None:
    """A topic or partition that is not there is refused; before, a new generation began that changed nothing."""
    config = load("j.cfg", JOB, [f"source.startingOffsets={json.dumps(named)}"])
    with pytest.raises(ConfigError):
        reset_topics(config, {"t": TopicState("i", {0: 5})}, {"t": TopicSnapshot("i", {0: (0, 20)})})


def test_a_recreated_topic_must_be_named_whole() -> None:
    """Nothing that was kept of the old topic says anything about the new one."""
    config = load("j.cfg", JOB, ['source.startingOffsets={"t":{"0":3}}'])
    snapshot = {"t": TopicSnapshot("other", {0: (0, 20), 1: (0, 20)})}
    with pytest.raises(ConfigError, match="t-1"):
        reset_topics(config, {"t": TopicState("i", {0: 5, 1: 5})}, snapshot)
