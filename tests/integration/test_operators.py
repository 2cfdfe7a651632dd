"""A day of a job as its operators see it: one continuous run on real servers, looked at, paused, resumed, verified."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from demonstration.launches import ROOT, environment

from servers.daemon import wait_for
from tests.integration.jobs import SECONDS, Job, Topics, once


def script(job: Job, name: str, *options: str) -> tuple[int, str]:
    """Exit status and stdout of one of the operators' scripts."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), str(job.path), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=SECONDS)
    return done.returncode, done.stdout


def shown(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(script(job, "show_offsets", "--format", "json")[1])
    return found


def test_a_job_is_watched_paused_and_resumed(topics: Topics, job: Callable[..., Job]) -> None:
    """Each script beside the live run, then on the paused job; what it says agrees with what landed."""
    topic = topics.create(partitions=2)
    topics.fill(topic, 300, 200)
    mine = job(topic, source__maxOffsetsPerTrigger="100")
    run = mine.start()
    wait_for(lambda: mine.offsets(topic) == {0: 300, 1: 200}, SECONDS, "the run to catch up")

    said = shown(mine)
    assert (said["lag"], said["holder"]["pid"], said["paused"]) == (0, run.process.pid, None)
    assert [row["currentOffset"] for row in said["partitions"]] == [300, 200]
    status, text = script(mine, "verify_output", "--checksums", "--format", "json")
    verdict = json.loads(text)
    assert (status, verdict["findings"], verdict["counts"]["records"]) == (0, [], 500)

    assert script(mine, "pause_job", "--reason", "a test")[0] == 0
    assert run.wait().status == 0, run.said
    assert run.summary["exitReason"].endswith(": a test")
    topics.fill(topic, 10)
    paused = mine.run()
    assert (paused.status, paused.summary["exitReason"]) == (0, run.summary["exitReason"]), paused.said
    said = shown(mine)
    assert (said["lag"], said["holder"], said["paused"]["why"]) == (10, None, "a test")
    assert script(mine, "pause_job", "--resume")[0] == 0

    resumed = mine.run()
    assert resumed.status == 0, resumed.said
    assert mine.landed() == once(topic, {0: (0, 310), 1: (0, 200)})
    assert script(mine, "verify_output")[0] == 0
    assert script(mine, "show_offsets", "--max-age", "1h")[0] == 0
    kept = [json.loads(path.read_text()) for path in sorted((mine.lake / "_runs").iterdir())]
    assert kept == [run.summary, resumed.summary]
