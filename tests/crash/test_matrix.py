"""What the matrix is made of: no failpoint without a tuple, no tuple twice, and a tenth that a seed chooses."""

from __future__ import annotations

from itertools import product

import pytest

from offsets.failpoints import FAILPOINTS
from offsets.profiles import PROFILES, TRANSACTIONAL
from offsets.structs import EXACTLY_ONCE
from tests.crash.matrix import ALL, READY, RULES, counts, excluded, tenth
from tests.crash.plain.faults import ACTIONS
from tests.crash.plain.running import STORES


def test_every_failpoint_is_hit(capsys: pytest.CaptureFixture[str]) -> None:
    """Each registered name is the place of some tuple, which fails unless its fault has happened there."""
    assert {case.point for case in ALL} == set(FAILPOINTS)
    with capsys.disabled():
        print("", *counts(), sep="\n")


def test_every_action_profile_and_store_is_tried() -> None:
    """Nothing of what a tuple is made of is left out altogether."""
    assert set(READY) == set(PROFILES) - {(EXACTLY_ONCE, TRANSACTIONAL)}
    assert {case.profile for case in ALL} == set(READY)
    assert {case.store for case in ALL} == set(STORES)
    assert {case.action for case in ALL} == set(ACTIONS)


def test_a_combination_is_a_tuple_or_has_a_reason() -> None:
    """Failpoint x action x profile x store without a gap; no rule is there for nothing."""
    found = {(case.profile, case.store, case.point, case.action) for case in ALL if not case.reset}
    reasons = set()
    for each in product(READY, STORES, FAILPOINTS, ACTIONS):
        why = excluded(*each)
        assert (each in found) == (why is None), each
        reasons.add(why)
    assert reasons == {rule.why for rule in RULES} | {None}


def test_ids_are_unique() -> None:
    """A tuple can be run alone by its id."""
    assert len({case.id for case in ALL}) == len(ALL)


def test_the_tenth_is_seeded() -> None:
    """The same seed chooses the same tuples, another seed others."""
    assert tenth(1) == tenth(1) != tenth(2)
    assert len(tenth(1)) == -(-len(ALL) // 10)
