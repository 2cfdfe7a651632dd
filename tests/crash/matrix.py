"""Which tuples failpoint x action x profile x store there are, and why the others are not.

A tuple's fault happens in the second batch, when there is something to lose and something to double, or where a launch
passes the point only once, there.  Points of a store are tried at several writes of the register.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from offsets.failpoints import FAILPOINTS
from offsets.profiles import LAUNCH, PLAN, PREPARE, PROFILES, PUBLISH, TRANSACTIONAL, Step
from tests.crash.plain.faults import ACTIONS
from tests.crash.plain.running import STORE_POINTS, STORES, Profile, Tuple

# A transactional sink needs a store in a database, which has a suite of its own: test_transactional.py.
READY: tuple[Profile, ...] = tuple(key for key, profile in PROFILES.items() if profile.kind != TRANSACTIONAL)
STRONGEST: Profile = ("exactly-once", "staged")
PREPARED = "prepare.after"
FILES_OF_A_BATCH, RANGES_OF_A_BATCH, FOLDERS_OF_A_BATCH = 6, 3, 2
LOCKS = 1  # numbers that a lock over WebHDFS takes before the register's first one


class Rule(NamedTuple):
    """Excludes what `applies` is true of: profile, store, point, action."""

    why: str
    applies: Callable[[Profile, str, str, str], bool]


def passed(profile: Profile) -> set[str]:
    """The failpoints on the way of a profile's run."""
    steps = (*LAUNCH, Step("create", writes=True), PLAN, *PROFILES[profile].steps)
    found = {name for step in steps for name in step.failpoints}
    if PUBLISH in PROFILES[profile].steps:
        found.add("publish.sent")
    return found | {name for name, point in FAILPOINTS.items() if name.startswith("fetch.") or is_store(point.who)}


def is_store(who: str) -> bool:
    return who in ("store", "zookeeper", "log")


RULES = (
    Rule("no run of this profile takes that step", lambda profile, store, point, action: point not in passed(profile)),
    Rule(
        "only a batch that is pending with a manifest is redone",
        lambda profile, store, point, action: point == "redo.manifest" and profile != STRONGEST,
    ),
    Rule(
        "only at most once, a task claims its range",
        lambda profile, store, point, action: point == "task.claim" and profile[0] != "at-most-once",
    ),
    Rule(
        "of a direct sink only at-most-once leaves something to collect, its claims",
        lambda profile, store, point, action: (
            point == "gc.each" and profile[1] == "direct" and profile[0] != "at-most-once"
        ),
    ),
    Rule(
        "the store does not work that way",
        lambda profile, store, point, action: {"zookeeper": store != "zookeeper", "log": store == "zookeeper"}.get(
            FAILPOINTS[point].who, False
        ),
    ),
    Rule(
        "only a request has a reply that can be lost",
        lambda profile, store, point, action: action == "lose" and not point.endswith(".sent"),
    ),
    Rule(
        "a local disk answers in the same call",
        lambda profile, store, point, action: (
            action == "lose" and (store == "file" or (store == "hdfs" and point == "publish.sent"))
        ),
    ),
    Rule(
        "a disk is full when bytes go to it",
        lambda profile, store, point, action: action == "full" and not FAILPOINTS[point].fills,
    ),
    Rule(
        "ZooKeeper has no quota that it enforces by refusing",
        lambda profile, store, point, action: (
            action == "full" and store == "zookeeper" and point.startswith(STORE_POINTS)
        ),
    ),
)


def applicable() -> Iterator[Tuple]:
    """All tuples: first one or more for each combination, then those of launches that are like no other."""
    for profile, store, point, action in product(READY, STORES, FAILPOINTS, ACTIONS):
        if excluded(profile, store, point, action) is None:
            earlier = PREPARED if point == "redo.manifest" else ""
            yield from (Tuple(profile, store, point, action, hit, earlier) for hit in hits(profile, store, point))
    yield from after_a_crash()
    yield from resets()
    yield from consumed()


def after_a_crash() -> Iterator[Tuple]:
    """Crashes of a launch that finishes what another one left prepared."""
    points = ("take.sent", "publish.before", "publish.each", "publish.sent", "publish.after")
    for store, point, action in product(STORES, (*points, *Step("commit", writes=True).failpoints), ACTIONS):
        if excluded(STRONGEST, store, point, action) is None:
            yield Tuple(
                STRONGEST, store, point, action, 3 if point in ("publish.each", "publish.sent") else 1, PREPARED
            )


def resets() -> Iterator[Tuple]:
    """A person resets the offsets while a batch is pending; the script that does it is struck at any of its steps."""
    steps = (*LAUNCH, PUBLISH, Step("commit", writes=True), Step("reset", writes=True))
    points = [point for step in steps for point in step.failpoints]
    for store, point, action in product(STORES, points, ("kill", "freeze", "lose")):
        if not any(rule.applies(STRONGEST, store, point, action) for rule in RULES[1:]):  # a run does not reset
            yield Tuple(STRONGEST, store, point, action, 1, PREPARED, reset=True)


def consumed() -> Iterator[Tuple]:
    """The same crashes while a consumer moves each published file away."""
    points = ("publish.each", "publish.sent", "publish.after", "commit.sent", "commit.after", "gc.each")
    for profile, store, point, action in product(READY, STORES, points, ("kill", "freeze")):
        if profile[1] == "staged" and excluded(profile, store, point, action) is None:
            yield Tuple(profile, store, point, action, hits(profile, store, point)[0], consumed=True)


def excluded(profile: Profile, store: str, point: str, action: str) -> str | None:
    """Why there is no such tuple; None if there is."""
    return next((rule.why for rule in RULES if rule.applies(profile, store, point, action)), None)


def hits(profile: Profile, store: str, point: str) -> list[int]:
    """At which of its hits a point is tried."""
    each = 2 if PREPARE in PROFILES[profile].steps else 1  # writes of the register in a batch
    if is_store(FAILPOINTS[point].who):
        launch = [1, 2] if profile == STRONGEST else []  # create and take, which are the same in every profile
        writes = [*launch, *range(2 + each + 1, 2 + each * 2 + 1)]  # and those of the second batch
        locks = LOCKS if store == "hdfs" and FAILPOINTS[point].who == "log" and point != "relist.after" else 0
        return [locks + write for write in writes]
    if point in ("publish.each", "publish.sent", "task.create", "task.mid", "task.close"):
        return [FILES_OF_A_BATCH + 3]
    if FAILPOINTS[point].who == "task":
        return [RANGES_OF_A_BATCH + 2]
    if point == "publish.mkdir":
        return [FOLDERS_OF_A_BATCH + 2]
    batch = {name for step in (PLAN, *PROFILES[profile].steps) for name in step.failpoints}
    return [2 if point in batch else 1]


ALL = tuple(applicable())


def tenth(seed: int) -> frozenset[str]:
    """The ids of a random tenth, the same for the same seed."""
    return frozenset(case.id for case in random.Random(seed).sample(ALL, -(-len(ALL) // 10)))


def counts() -> list[str]:
    """For people: how many tuples there are, and how many combinations each rule excludes."""
    by_profile = Counter("-".join(case.profile) for case in ALL)
    by_action, by_store = Counter(case.action for case in ALL), Counter(case.store for case in ALL)
    lines = [f"{len(ALL)} tuples"]
    lines += [", ".join(f"{name} {n}" for name, n in by.items()) for by in (by_profile, by_action, by_store)]
    whole = product(READY, STORES, FAILPOINTS, ACTIONS)
    reasons = Counter(why for each in whole if (why := excluded(*each)) is not None)
    return lines + [f"{n} combinations are none: {why}" for why, n in reasons.items()]


if __name__ == "__main__":
    print(*counts(), sep="\n")
