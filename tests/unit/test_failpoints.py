"""The registry of failpoints, the places in the source that pass them, and the protocol's page name the same things."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from offsets import failpoints
from offsets.failpoints import FAILPOINTS, TOOLS
from offsets.profiles import LAUNCH, PLAN, PROFILES, Step

ROOT = Path(__file__).resolve().parents[2]
STEPS = {step for steps in (LAUNCH, (PLAN,), *(p.steps for p in PROFILES.values())) for step in steps}
# Where names are put together: the manager's of what it writes, the committer's of a profile's steps.
COMPOSED = {"f'{step}.before'", "f'{step}.sent'", "f'{step}.after'", "step.name"}


def calls() -> Iterator[tuple[str, str]]:
    """Function and first argument, as source, of every call that names a failpoint or a transition."""
    for package in ("offsets", "streaming"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and node.args and path.name != "failpoints.py":
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    if name in ("reach", "passing") or (name == "_write" and path.name == "manager.py"):
                        yield name, ast.unparse(node.args[0])


def in_the_source() -> set[str]:
    """All names that the source can pass to `reach`."""
    found = {name for step in STEPS if not step.writes for name in (f"{step.name}.before", f"{step.name}.after")}
    for function, argument in calls():
        if argument in COMPOSED:
            continue
        name = ast.literal_eval(argument)
        if function == "reach":
            found.add(name)
        elif function == "passing":
            found |= {f"{name}.before", f"{name}.after"}
        else:
            found |= set(Step(name, writes=True).failpoints)
    return found


def test_source_and_registry_name_the_same() -> None:
    """No place in the source is unregistered, and no registered name is nowhere in the source."""
    tools = {name for tool in TOOLS for name in Step(tool, writes=True).failpoints}
    assert in_the_source() - tools == set(FAILPOINTS)


def test_steps_are_passed_by_name() -> None:
    """Every step that does not write the register is passed somewhere: by its own name, or as one of a profile's."""
    passed = {
        ast.literal_eval(argument) for function, argument in calls() if function == "passing" and argument[0] == "'"
    }
    assert "step.name" in {argument for function, argument in calls() if function == "passing"}
    assert {step.name for step in (*LAUNCH, PLAN) if not step.writes} <= passed


def test_names_of_the_page_are_failpoints() -> None:
    """Whatever the protocol's page calls `step.something` exists, but for the three endings that it explains."""
    page = (ROOT / "tests/model/protocol.md").read_text()
    named = set(re.findall(r"`([a-z]+\.[a-z]+)`", page)) - {"step.before", "step.sent", "step.after", "model.py"}
    assert named <= set(FAILPOINTS)
    assert {"redo.manifest", "task.create", "publish.each"} <= named


def test_unregistered_name_raises_only_when_armed() -> None:
    """A failpoint that nobody has registered is found by the first test that arms anything; production goes on."""
    failpoints.reach("no.such")
    failpoints.arm(lambda name: None)
    try:
        with pytest.raises(LookupError, match=r"no\.such"):
            failpoints.reach("no.such")
        failpoints.reach("commit.sent")
    finally:
        failpoints.arm(None)


def test_passing_says_before_and_after() -> None:
    """A step that raises has only begun."""
    passed: list[str] = []
    failpoints.arm(passed.append)
    try:
        with failpoints.passing("gc"):
            passed.append("-")
        with pytest.raises(ZeroDivisionError), failpoints.passing("plan"):
            raise ZeroDivisionError
    finally:
        failpoints.arm(None)
    assert passed == ["gc.before", "-", "gc.after", "plan.before"]
