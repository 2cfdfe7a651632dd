"""The steps of a launch and of a batch, in their order, by what a job promises and by the kind of its sink.  Only data.

Names of steps and failpoints are those of the protocol page; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from offsets.structs import AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE, TRANSACTIONAL_ONCE


class Step(NamedTuple):
    """One step of a profile; `writes`: whether it replaces the register.

    Every step has the failpoints ``name.before`` and ``name.after``, one that writes ``name.sent`` (done, reply lost).
    """

    name: str
    writes: bool = False
    also: tuple[str, ...] = ()

    @property
    def failpoints(self) -> tuple[str, ...]:
        sent = (f"{self.name}.sent",) if self.writes else ()
        return (f"{self.name}.before", *sent, f"{self.name}.after", *self.also)


LAUNCH = (
    Step("lock"),
    Step("read"),
    Step("take", writes=True),
    Step("redo", also=("redo.manifest",)),
)
"""What every launch does once, whatever its profile."""
PLAN = Step("plan")
STAGE = Step("stage", also=("task.create", "task.mid", "task.close", "task.return"))
MANIFEST = Step("manifest")
PREPARE = Step("prepare", writes=True)  # the batch is decided here
PUBLISH = Step("publish", also=("publish.mkdir", "publish.each"))
WRITE = Step("write", also=("task.claim", "task.write", "task.return"))
COMMIT = Step("commit", writes=True)
LOG = Step("log")
GC = Step("gc", also=("gc.each",))

Kind = Literal["staged", "direct", "transactional"]
STAGED: Kind = "staged"
DIRECT: Kind = "direct"
TRANSACTIONAL: Kind = "transactional"  # COMMIT is one transaction with what the sink writes


class Profile(NamedTuple):
    """What a job promises, and the steps of one of its batches after `plan`, in their order."""

    guarantee: str
    kind: Kind
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """What its batches are logged under."""
        return TRANSACTIONAL_ONCE if self.kind == TRANSACTIONAL else self.guarantee

    @property
    def prepares(self) -> bool:
        """Whether a batch is pending while it is published or written, so that a redo finishes it."""
        return PREPARE in self.steps

    @property
    def commits_first(self) -> bool:
        """Whether a batch that fails is lost."""
        return self.steps[0] == COMMIT


PROFILES: Mapping[tuple[str, str], Profile] = {
    (guarantee, kind): Profile(guarantee, kind, steps)
    for guarantee, kind, steps in (
        (EXACTLY_ONCE, STAGED, (STAGE, MANIFEST, PREPARE, PUBLISH, COMMIT, GC)),
        (AT_LEAST_ONCE, STAGED, (STAGE, MANIFEST, PUBLISH, COMMIT, LOG, GC)),
        (AT_MOST_ONCE, STAGED, (COMMIT, STAGE, MANIFEST, PUBLISH, GC)),
        (EXACTLY_ONCE, DIRECT, (PREPARE, WRITE, LOG, COMMIT, GC)),
        (EXACTLY_ONCE, TRANSACTIONAL, (WRITE, COMMIT, LOG, GC)),
        (AT_LEAST_ONCE, DIRECT, (WRITE, COMMIT, LOG, GC)),
        (AT_MOST_ONCE, DIRECT, (COMMIT, WRITE, LOG, GC)),
    )
}
"""By guarantee and kind of sink.  The batch log's entry is the first act of `publish` where there is no `log`."""
