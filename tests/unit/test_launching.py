"""What a launch does with register and marker."""

from __future__ import annotations

from itertools import product

import pytest

from offsets.launching import LAUNCH, Decision, LaunchError, first_launch
from offsets.protocol import created, taken
from offsets.structs import Owner

ME = Owner("h", 1, "s", "r")
CREATED = created("mine", {}, ME, "n", 1)
REGISTERS = {"absent": None, "created": CREATED, "taken": taken(CREATED, ME, "m", 2)}
MARKERS = {"absent": None, "same": "mine", "other": "theirs"}


@pytest.mark.parametrize(("register", "marker"), list(product(REGISTERS, MARKERS)))
def test_every_pair(register: str, marker: str) -> None:
    """Each register with each marker has one decision, or an error that names both places."""
    key = (register, "other" if register == "absent" and marker == "same" else marker)
    decision = LAUNCH[key]
    if isinstance(decision, Decision):
        assert first_launch(REGISTERS[register], MARKERS[marker], "orders.cfg") is decision
    else:
        with pytest.raises(LaunchError, match=decision) as caught:
            first_launch(REGISTERS[register], MARKERS[marker], "orders.cfg", "file:///s", "file:///out")
        assert "file:///s" in str(caught.value)
        assert "file:///out" in str(caught.value)
        assert caught.value.exit_status == 3
        assert (caught.value.register_app, caught.value.marker_app) == (
            "mine" if REGISTERS[register] else None,
            MARKERS[marker],
        )


def test_only_nothing_at_all_is_a_first_launch() -> None:
    """CREATE only without register and marker; a missing marker is written only where nobody ever took the register."""
    assert [key for key, decision in LAUNCH.items() if decision is Decision.CREATE] == [("absent", "absent")]
    assert [key for key, decision in LAUNCH.items() if decision is Decision.MARK] == [("created", "absent")]


@pytest.mark.parametrize(
    ("register", "marker", "command"),
    [
        (None, "theirs", "run_stream.py orders.cfg --recover register"),
        (REGISTERS["taken"], None, "run_stream.py orders.cfg --recover marker"),
    ],
)
def test_remedy_is_the_exact_command(register, marker, command) -> None:
    """What can be mended is mended by a command with the job's name; the other reason is a wrong setting."""
    with pytest.raises(LaunchError) as caught:
        first_launch(register, marker, "orders.cfg")
    assert command in caught.value.remedy
    assert "in orders.cfg" in caught.value.remedy


def test_mismatch_says_which_setting() -> None:
    """Two jobs in one place are never mended by force: one of two settings is wrong."""
    with pytest.raises(LaunchError, match="application mine, but file:///out belongs to application theirs") as caught:
        first_launch(REGISTERS["taken"], "theirs", "orders.cfg", "file:///s", "file:///out")
    assert "correct [offsets] store, if file:///out is where this job writes" in caught.value.remedy
    assert "correct [sink] path, if file:///s is where this job keeps its offsets" in caught.value.remedy
