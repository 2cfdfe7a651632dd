"""A reset by hand, its undo, and what is printed where an undo is no more: on real servers, for every kind of store."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from demonstration.launches import ROOT, environment

from streaming.commands import offset_history, reset_offsets
from tests.crash.plain.crew import Crew
from tests.crash.plain.faults import Fault
from tests.integration.jobs import SECONDS, Job, Topics, once
from tests.takeover.drivers import Drivers
from tests.takeover.stores import ALL_KINDS, contents, mostly, settings

RECORDS = 6  # a partition
DONE = ("reset.sent", "reset.after")
STEPS = ("lock.after", "read.after", "take.before", "take.sent", "take.after", "reset.before", *DONE)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=mostly("zookeeper", ALL_KINDS))
def register(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings of a job with a register of that kind."""
    return settings(request, request.param, tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Exit status, stdout and stderr of a script that is given the job."""

    def main(script: Any, job: Job, *options: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = script.main("", [str(job.path), *options])
        return status, *capsys.readouterr()

    return main


@pytest.fixture
def crew() -> Iterator[Crew]:
    with closing(Crew()) as made:
        yield made


def obey(line: str) -> None:
    """Types the command that a remedy names, in a shell."""
    command = line.rpartition(" it shows it): ")[2].strip()
    at = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'scripts' / 'reset_offsets.py'))}"
    assert command.count(" | reset_offsets.py ") == 1, line
    typed = command.replace("reset_offsets.py", at)
    done = subprocess.run(typed, shell=True, capture_output=True, text=True, env=environment(), timeout=SECONDS)
    assert done.returncode == 0, done.stderr


def kinds(run: Run, job: Job) -> Counter[str]:
    status, said, complaints = run(offset_history, job, "--format", "json")
    assert status == 0, complaints
    return Counter(event["kind"] for event in json.loads(said)["events"])


def test_a_reset_and_its_undo(
    topics: Topics, job: Callable[..., Job], drivers: Drivers, run: Run, register: dict[str, str]
) -> None:
    """The very offsets come back, again and again; once a batch was committed, the printed command does it."""
    topics.fill(topic := topics.create(), RECORDS, RECORDS + 1)
    mine = job(topic, **register)
    assert drivers.run(mine.path).status == 0
    committed, landed = mine.register(), contents(mine)

    asked = ("--topic", f"{topic}:0,1", "--to-offset", "2", "--execute", "--reason", "wrong rates")
    status, said, complaints = run(reset_offsets, mine, *asked)
    assert (status, f"offset_history.py {mine.path} --undo\n" in said) == (0, True), complaints
    chosen = mine.register()
    assert chosen.topics[topic].offsets == {0: 2, 1: 2}
    assert run(offset_history, mine, "--undo")[0] == 0
    assert mine.register() == chosen, "without --execute"
    status, _, complaints = run(offset_history, mine, "--undo", "--execute")
    assert (status, mine.register().topics) == (0, committed.topics), complaints
    assert drivers.run(mine.path).summary["batches"] == 0
    assert {name: mark for name, mark in contents(mine).items() if not name.startswith("_batches/")} == {
        name: mark for name, mark in landed.items() if not name.startswith("_batches/")
    }
    assert run(offset_history, mine, "--undo", "--execute")[0] == 0, "a launch with nothing to read takes no undo away"
    assert (mine.register().topics, mine.register().generation) == (chosen.topics, 3)

    topics.fill(topic, 0, 4)
    assert drivers.run(mine.path).status == 0
    twice = once(topic, {0: (2, RECORDS), 1: (2, RECORDS + 1)})
    assert mine.landed() == once(topic, {0: (0, RECORDS), 1: (0, RECORDS + 5)}) + twice
    before = mine.register()
    status, _, complaints = run(offset_history, mine, "--undo", "--execute")
    assert (status, mine.register()) == (1, before)
    assert "generation 3 has gone on since its reset" in complaints
    obey(complaints)
    assert (mine.register().topics[topic].offsets, mine.register().generation) == ({0: RECORDS, 1: RECORDS + 1}, 4)
    assert drivers.run(mine.path).summary["numInputRows"] == 4

    assert run(reset_offsets, mine, "--topic", f"{topic}:1", "--to-offset", "8", "--execute")[0] == 0
    assert run(reset_offsets, mine, "--all-topics", "--to-latest", "--execute")[0] == 0
    topics.truncate(topic, 1, 9)
    assert f"the next launch will stop there: EXPIRED {topic}-1 [8,9)" in run(offset_history, mine, "--undo")[1]
    assert run(offset_history, mine, "--undo", "--execute")[0] == 0
    assert drivers.run(mine.path).status == 3, "restored is restored"
    seen = kinds(run, mine)
    assert (seen["commit"], seen["reset"]) == (3, 7)
    assert seen["takeover"] == (4 if "zookeeper" in register["offsets__store"] else 11)


@pytest.mark.full
@pytest.mark.parametrize("register", ["file", "zookeeper", "postgresql"], indirect=True)
def test_killed_in_an_undo(
    topics: Topics, job: Callable[..., Job], drivers: Drivers, run: Run, register: dict[str, str], crew: Crew
) -> None:
    """At each step the register is as it was, or undone as a whole; the next undo has the very offsets again."""
    topics.fill(topic := topics.create(), RECORDS, RECORDS)
    mine = job(topic, **register)
    assert drivers.run(mine.path).status == 0
    committed = mine.register().topics
    for point in STEPS:
        assert run(reset_offsets, mine, "--topic", f"{topic}:1", "--to-offset", "2", "--execute")[0] == 0
        chosen = mine.register()
        words = ("--undo", "--execute")
        struck = crew.start(str(mine.path), Fault(point, "kill"), more=words, script="offset_history")
        assert crew.wait(struck) == -signal.SIGKILL, crew.said()
        found = mine.register()
        if point in DONE:
            assert (found.topics, found.before) == (committed, chosen.topics), point
        else:
            assert (found.topics, found.before) == (chosen.topics, committed), point
            assert run(offset_history, mine, *words)[0] == 0, point
            assert mine.register().topics == committed, point
