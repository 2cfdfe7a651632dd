"""`run_job`: what run_stream.py does, as a function call in a program of the user's."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from demonstration.launches import environment

from offsets.errors import ConfigError, StreamError
from streaming.api import run_job
from tests.integration.jobs import SECONDS, Job, Topics, once

TWICE = """
import json, sys
from streaming.api import run_job

first = run_job(sys.argv[1], overrides={"source.maxOffsetsPerTrigger": "10"})
second = run_job(sys.argv[1], available_now=False, duration="1s")
print(json.dumps([first, second]))
"""


def test_a_run_returns_its_summary_and_leaves_no_trace(topics: Topics, job: Callable[..., Job]) -> None:
    """A first launch at the latest offsets, without Spark; its report is kept, signals are what they were."""
    topic = topics.create()
    topics.fill(topic, 3, 2)
    orders = job(topic, source__startingOffsets="latest")
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    summary = run_job(orders.path)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert (summary["exitStatus"], summary["exitReason"], summary["numInputRows"]) == (0, "nothing new", 0)
    assert orders.offsets(topic) == {0: 3, 1: 2}
    (report,) = (orders.lake / "_runs").glob("*.json")
    assert json.loads(report.read_text())["runId"] == summary["runId"]


def test_what_stops_a_run_is_raised(topics: Topics, job: Callable[..., Job]) -> None:
    """With exit status and remedy, before anything is connected to or after it; never by a thread beside."""
    orders = job(topics.create())
    with pytest.raises(ConfigError, match=r"sink\.formt: unknown"):
        run_job(orders.path, overrides={"sink.formt": "json"})
    with pytest.raises(ConfigError, match="duration = soon"):
        run_job(orders.path, duration="soon")
    with pytest.raises(ConfigError, match="cannot read the job file"):
        run_job(orders.folder / "nowhere.cfg")
    with pytest.raises(StreamError, match="nosuchtopic") as missing:
        run_job(str(orders.path), overrides={"source.subscribe": "nosuchtopic"})
    assert missing.value.exit_status in (2, 3)
    raised: list[BaseException] = []

    def beside() -> None:
        try:
            run_job(orders.path)
        except StreamError as e:
            raised.append(e)

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert "main" in str(raised[0])


@pytest.mark.full
def test_a_program_runs_a_job_twice(topics: Topics, job: Callable[..., Job]) -> None:
    """With Spark, one run after the other in one process: the second begins where the first has ended."""
    topic = topics.create()
    topics.fill(topic, 15, 10)
    orders = job(topic)
    command = [sys.executable, "-c", TWICE, str(orders.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert (first["numInputRows"], first["batches"]) == (25, 3)
    assert (second["numInputRows"], second["exitStatus"]) == (0, 0)
    assert len(orders.landed()) == 25
    assert set(orders.landed()) <= set(once(topic, {0: (0, 15), 1: (0, 10)}))
