"""Each mistake of protocol.md section 8 that code can make, planted, is caught by the invariant that it must violate.

And the same scenario without the mistake violates nothing.  One alone:

    python -m pytest 'tests/crash/test_planted.py::test_caught[set_without_version-exactly-once-staged]'
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import NamedTuple

import pytest

from tests.crash.invariants import (
    Invariant,
    comes_to_rest,
    nothing_doubled,
    nothing_lost,
    nothing_phantom,
    pending_is_whole,
    register_only_grows,
    writes_tile,
)
from tests.crash.plain.fixtures import planted_side_by_side
from tests.crash.plain.running import Bench, Outcome, Tuple
from tests.crash.seed import SEED

EXACTLY, DIRECT = ("exactly-once", "staged"), ("exactly-once", "direct")
AT_LEAST, AT_MOST, AT_MOST_DIRECT = ("at-least-once", "staged"), ("at-most-once", "staged"), ("at-most-once", "direct")
ASLEEP = Tuple(EXACTLY, "zookeeper", "replace.before", "freeze", 6)  # at the COMMIT of the second batch
FEW = 5  # in the plain suite


class Plant(NamedTuple):
    """`bug`: of tests.crash.planted; `world`: what it shows in; `scenario`: the fault that it must not survive."""

    bug: str
    caught_by: Invariant
    scenario: Tuple
    world: str = ""

    @property
    def planted(self) -> str:
        return "+".join(filter(None, (self.world, self.bug)))


PLANTS = (
    Plant("set_without_version", register_only_grows, ASLEEP),
    Plant("check_epoch_then_set", register_only_grows, ASLEEP),
    Plant("retry_blindly", register_only_grows, ASLEEP, "cut_off"),
    Plant("compare_versions", register_only_grows, ASLEEP, "cut_off"),
    Plant("assume_done+trusting", nothing_doubled, Tuple(EXACTLY, "zookeeper", "replace.before", "lose", 5), "cut_off"),
    Plant("assume_done+trusting", nothing_doubled, Tuple(AT_MOST, "zookeeper", "replace.before", "lose", 4), "cut_off"),
    Plant(
        "no_second_look+trusting", nothing_doubled, Tuple(EXACTLY, "hdfs", "replace.before", "freeze", 6), "short_log"
    ),
    Plant("no_write_at_takeover", comes_to_rest, Tuple(EXACTLY, "file", "manifest.after", "kill", 2)),
    Plant("plan_again", comes_to_rest, Tuple(EXACTLY, "zookeeper", "prepare.sent", "lose", 2)),
    Plant("clean_up", pending_is_whole, Tuple(EXACTLY, "zookeeper", "prepare.sent", "lose", 2)),
    Plant("collect_prepared", pending_is_whole, Tuple(EXACTLY, "file", "publish.before", "kill")),
    Plant("collect_prepared+trusting", nothing_lost, Tuple(EXACTLY, "file", "commit.after", "kill")),
    Plant(
        "collect_others",
        pending_is_whole,
        Tuple(EXACTLY, "zookeeper", "gc.before", "freeze", 2, second="prepare.after"),
    ),
    Plant(
        "collect_before_takeover",
        pending_is_whole,
        Tuple(EXACTLY, "hdfs", "prepare.before", "freeze", 2, second="take.before"),
    ),
    Plant("publish_before_prepare", comes_to_rest, Tuple(EXACTLY, "file", "publish.after", "kill", 2)),
    Plant("publish_before_prepare+trusting", nothing_doubled, Tuple(EXACTLY, "file", "publish.after", "kill", 2)),
    Plant("plan_past_failure", nothing_lost, Tuple(EXACTLY, "file", "task.mid", "raise", 9)),
    Plant("plan_past_failure", nothing_lost, Tuple(AT_LEAST, "file", "task.mid", "raise", 9)),
    Plant("link_and_unlink", nothing_doubled, Tuple(EXACTLY, "file", "publish.sent", "kill", 9, consumed=True)),
    Plant("any_404_is_moved", nothing_lost, Tuple(EXACTLY, "file", "commit.after", "kill"), "folders_vanish"),
    Plant("ignore_false", nothing_lost, Tuple(EXACTLY, "zookeeper", "commit.after", "kill"), "folders_vanish"),
    Plant("share_names", nothing_lost, Tuple(EXACTLY, "file", "commit.after", "kill"), "dying_stragglers"),
    Plant("publish_what_is_listed", nothing_doubled, Tuple(EXACTLY, "file", "prepare.after", "kill", 2), "stragglers"),
    Plant("plain_names", comes_to_rest, Tuple(AT_LEAST, "file", "publish.after", "kill", 2)),
    Plant("no_length_check", nothing_lost, Tuple(EXACTLY, "zookeeper", "replace.sent", "lose", 2), "short_upload"),
    Plant("read_uncommitted", nothing_phantom, Tuple(EXACTLY, "file", "prepare.after", "kill", 2)),
    Plant("not_idempotent", nothing_doubled, Tuple(DIRECT, "file", "log.before", "kill", 2)),
    Plant("no_intent", writes_tile, Tuple(DIRECT, "file", "write.after", "kill", 2), "other_ranges"),
    Plant(
        "attempts_unclaimed", nothing_doubled, Tuple(AT_MOST_DIRECT, "file", "commit.after", "kill", 3), "second_writes"
    ),
)
CHOSEN = random.Random(SEED).sample(range(len(PLANTS)), FEW)
CASES = [
    pytest.param(
        plant, id="-".join((plant.bug, *plant.scenario.profile)), marks=() if at in CHOSEN else pytest.mark.full
    )
    for at, plant in enumerate(PLANTS)
]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Mapping[tuple[Tuple, str], Future[Outcome]]]:
    """Of all that this run has selected, with the bug and without it; under way side by side."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    plants = [call.params["plant"] for call in calls if call is not None and "plant" in call.params]
    wanted = dict.fromkeys((p.scenario, planted) for p in plants for planted in (p.planted, p.world))
    with planted_side_by_side(bench, wanted) as futures:
        yield futures


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", CASES)
def test_caught(outcomes: Mapping[tuple[Tuple, str], Future[Outcome]], plant: Plant) -> None:
    """Without the bug nothing is violated; with it, the invariant that names what must not happen."""
    sound = outcomes[plant.scenario, plant.world].result()
    assert sound.landed, sound.story
    assert not sound.violated, f"{sound.violated}\n{sound.story}"
    spoilt = outcomes[plant.scenario, plant.planted].result()
    assert spoilt.landed, spoilt.story
    assert plant.caught_by.__name__ in spoilt.violated, f"{spoilt.violated}\n{spoilt.story}"
