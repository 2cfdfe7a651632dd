"""Starting offsets of a first launch."""

from __future__ import annotations

import pytest

from offsets.errors import ConfigError
from offsets.snapshot import TopicSnapshot
from offsets.starting import starting_topics
from offsets.structs import TopicState

NOW = {"orders": TopicSnapshot("id", {0: (2, 8), 1: (0, 5)}), "users": TopicSnapshot("ie", {0: (3, 3)})}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("earliest", ({0: 2, 1: 0}, {0: 3})),
        ("latest", ({0: 8, 1: 5}, {0: 3})),
        ({"orders": {0: -2, 1: -1}, "users": {0: 3}}, ({0: 2, 1: 5}, {0: 3})),
        ({"orders": {0: 2, 1: 5}, "users": {0: -1}}, ({0: 2, 1: 5}, {0: 3})),
    ],
)
def test_resolved_with_ids_pinned(spec, expected) -> None:
    """Words and explicit offsets, -2 and -1 among them, become offsets; both bounds are allowed."""
    orders, users = expected
    assert starting_topics(spec, NOW) == {"orders": TopicState("id", orders), "users": TopicState("ie", users)}


def test_all_problems_at_once() -> None:
    """Every mistake is named: outside the log, missing, unknown, with the nearest names."""
    with pytest.raises(ConfigError) as caught:
        starting_topics({"order": {0: 1}, "users": {0: 4, 7: 1}}, NOW)
    assert caught.value.problems == (
        "source.startingOffsets names topic order, which is not read; did you mean orders?",
        "source.startingOffsets says nothing about topic orders; did you mean order?",
        "users-7 is not read: its partitions are 0",
        "users-0 offset 4 is outside [3,3]",
    )
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("offset", [1, 9, -3])
def test_offset_outside_the_log(offset) -> None:
    """An offset that cannot be read is refused, never clamped."""
    with pytest.raises(ConfigError, match=r"orders-0 offset -?\d is outside \[2,8\]"):
        starting_topics({"orders": {0: offset, 1: 0}, "users": {0: 3}}, NOW)


def test_missing_partition() -> None:
    """A partition that is not named is not guessed."""
    with pytest.raises(ConfigError, match=r"says nothing about orders-1 \[0,5\]"):
        starting_topics({"orders": {0: 2}, "users": {0: 3}}, NOW)


def test_unknown_word() -> None:
    """A mistyped word names the nearest right one."""
    with pytest.raises(ConfigError, match="did you mean earliest"):
        starting_topics("earlyest", NOW)
