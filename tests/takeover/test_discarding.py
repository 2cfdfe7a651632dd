"""A prepared batch of which some is published and the rest is lost: given up by the printed command, on servers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from offsets.filesystems import open_filesystem
from offsets.stores import open_store
from streaming.verification.findings import Verdict
from streaming.verification.verify import verify
from tests.integration.jobs import Job, Topics, once
from tests.takeover.drivers import At, Drivers, Process
from tests.takeover.stores import contents, settings

RECORDS = 6  # a partition
BATCH = 2
DISCARD = re.compile(r"reset_offsets\.py (\S+) (--all-topics --to-current --discard-pending)")


def looked(job: Job) -> Verdict:
    with closing(open_store(job.settings["offsets.store"])) as store:
        return verify(store, open_filesystem(job.settings["sink.path"]))


def published(job: Job) -> set[str]:
    return {name for name in contents(job) if not name.startswith("_")}


def command(stopped: Process, job: Job) -> list[str]:
    """The options that the remedy names, behind the better one."""
    assert stopped.status == 3, stopped.said
    found = DISCARD.search(stopped.complaints[0])
    assert found, stopped.said
    assert "restore" in stopped.complaints[0][: found.start()]
    assert found[1] in (str(job.path), job.path.name)
    return found[2].split()


@pytest.mark.full
@pytest.mark.parametrize("kind", ["zookeeper", "hdfs"])
def test_the_way_out(
    request: pytest.FixtureRequest,
    kind: str,
    topics: Topics,
    job: Callable[..., Job],
    drivers: Drivers,
    tmp_path: Path,
) -> None:
    """Killed before its write it leaves the batch, behind it the batch is over; then the job goes on from there."""
    topics.fill(topic := topics.create(), RECORDS, RECORDS)
    more = {"source__maxOffsetsPerTrigger": str(2 * BATCH), "offsets__session__timeout__ms": "4000"}
    made = job(topic, **more, **settings(request, kind, tmp_path))
    assert drivers.run(made.path, At("publish.sent", hit=3)).status == -9
    before, files, landed = made.register(), published(made), made.landed()
    assert (before.seq, before.pending is None) == (1, False)
    lake = open_filesystem(made.settings["sink.path"])

    early = drivers.reset(made.path, "--all-topics", "--to-current", "--discard-pending").wait()
    assert (early.status, "can be published" in early.complaints[0]) == (3, True), early.said
    assert made.register() == before

    lake.delete("_staging", recursive=True)
    asked = command(drivers.run(made.path), made)
    taken = made.register()
    dry = drivers.start(made.path, *asked, script="reset_offsets").wait()
    assert dry.status == 0, dry.said
    seen = [name for name in files if f"+g0e{before.epoch}" in name and "+0000000002+0000000004+" in name]
    assert seen
    assert all(word in dry.said for word in ("exactly-once ends", f"{topic}-0[2,4)", f"{topic}-1[2,4)", *seen))
    assert made.register() == taken

    killed = drivers.start(made.path, *asked, "--execute", prelude=At("reset.before"), script="reset_offsets").wait()
    assert (killed.status, made.register().pending) == (-9, before.pending), killed.said
    killed = drivers.start(made.path, *asked, "--execute", prelude=At("reset.sent"), script="reset_offsets").wait()
    state = made.register()
    assert (killed.status, state.pending, state.generation, state.seq) == (-9, None, 1, 2), killed.said
    assert state.topics[topic].offsets == {0: BATCH, 1: BATCH}
    over = drivers.reset(made.path, *asked).wait()
    assert (over.status, "no batch is pending" in over.complaints[0]) == (3, True), over.said

    ended = drivers.run(made.path)
    assert ended.status == 0, ended.said
    assert made.landed() == Counter(landed) + once(topic, {p: (BATCH, RECORDS) for p in range(2)})
    verdict = looked(made)
    assert sorted((f.kind, f.where) for f in verdict.findings) == sorted(("foreign", name) for name in seen)
    assert {hole[1:] for hole in verdict.holes} == {("GIVEN_UP", topic, p, BATCH, 2 * BATCH) for p in range(2)}
    for name in seen:
        lake.delete(name)
    assert not looked(made).findings
