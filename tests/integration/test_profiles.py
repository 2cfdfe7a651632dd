"""The delivery guarantees of staged sinks through run_stream.py: a batch that fails, and the launch after it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from offsets.structs import AT_MOST_ONCE, EXACTLY_ONCE, GUARANTEES
from streaming.commands.verify_output import main as verify
from tests.integration.jobs import Job, Topics, once

FAILING = """
from pathlib import Path

def careful(record):
    if record.offset >= 10 and not (Path({folder!r}) / "open").exists():
        raise RuntimeError("not yet")
    return {{"topic": record.topic, "partition": record.partition, "offset": record.offset}}
"""


@pytest.mark.full
@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_batch_that_fails_for_good(
    topics: Topics, job: Callable[..., Job], guarantee: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At-most-once has lost it and says which ranges, on all sides; the others read it again, each record once."""
    topic = topics.create()
    topics.fill(topic, 20, 20)
    made = job(topic, job__delivery__guarantee=guarantee, source__maxOffsetsPerTrigger="20", job__function="f:careful")
    (made.folder / "f.py").write_text(FAILING.format(folder=str(made.folder)))
    failed = made.run()
    lost = guarantee == AT_MOST_ONCE
    ranges = f"{topic}-0[10,20), {topic}-1[10,20)"
    assert (failed.status, failed.summary["batches"]) == (1, 1), failed.said
    assert "not yet" in failed.summary["exitReason"]
    assert (ranges in failed.summary["exitReason"], ranges in failed.complaints[0]) == (lost, lost), failed.said
    made.open_gate()
    after = made.run()
    assert (after.status, after.summary["deliveryGuarantee"]) == (0, guarantee), after.said
    assert (f", {guarantee}; ms:" in failed.stderr) == (guarantee != EXACTLY_ONCE)
    end = 10 if lost else 20
    assert made.landed() == once(topic, {0: (0, end), 1: (0, end)})
    assert verify(argv=[str(made.path), "--format", "json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    holes = [(h["kind"], h["partition"], h["from_offset"], h["until_offset"]) for h in verdict["holes"]]
    assert holes == ([("UNPUBLISHED", 0, 10, 20), ("UNPUBLISHED", 1, 10, 20)] if lost else [])
