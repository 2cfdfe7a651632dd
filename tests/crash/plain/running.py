"""One tuple of the crash suite, from an empty place to a verdict: `run_tuple`.

    outcome = run_tuple(bench, crew, Tuple(("exactly-once", "staged"), "zookeeper", "prepare.sent", "kill"))
    assert not outcome.violated, outcome.story

With `planted="module:function"` every launch calls that function first, in its own process, before the product runs:
a planted bug patches there what it likes, and must turn up in `outcome.violated`, by the name of an invariant.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kazoo.client import KazooClient

from tests.crash.invariants import violated
from tests.crash.plain.crew import Crew
from tests.crash.plain.evidence import Evidence, Exit, Witness
from tests.crash.plain.faults import LANDED, Fault, empty
from tests.crash.plain.places import Folder
from tests.crash.plain.registers import follow
from tests.crash.plain.sinks import received, spans
from tests.crash.plain.topic import BATCH, Produced

Profile = tuple[str, str]  # guarantee, kind
JOB = """\
[job]
name = {name}
{function}
delivery.guarantee = {guarantee}

[source]
subscribe = {topic}
startingOffsets = earliest
maxOffsetsPerTrigger = {batch}

[kafka]
bootstrap.servers = {bootstrap}

[offsets]
store = {store}
session.timeout.ms = 2000

[sink]
path = {sink}
{more}
"""
FUNCTION = {"staged": "function = tests.crash.plain.function:row", "direct": ""}
MORE = {"staged": "path.format = side={side}", "direct": "class = tests.crash.plain.sinks:{sink}"}


@dataclass(frozen=True)
class Tuple:
    """A point of the matrix.  `hit`: the how many-th time that the point is reached.

    `earlier`: a launch before is killed there, so that this one begins with what it has left.  `consumed`: a consumer
    moves each file away the moment it is published.
    """

    profile: Profile
    store: str  # a key of STORES
    point: str
    action: str  # one of plain.faults.ACTIONS
    hit: int = 1
    earlier: str = ""
    consumed: bool = False

    @property
    def id(self) -> str:
        words = (*self.profile, self.store, self.point, self.action)
        more = (f"hit{self.hit}" * (self.hit > 1), f"after-{self.earlier}" * bool(self.earlier))
        return "-".join(filter(None, (*words, *more, "consumed" * self.consumed)))


@dataclass(frozen=True)
class Outcome:
    """`violated`: by the name of an invariant, what contradicts it; `landed`: whether the fault has happened."""

    evidence: Evidence
    violated: Mapping[str, list[str]]
    landed: bool
    story: str  # for people: what ended how, and all that was said


@dataclass
class Bench:
    """What all tuples share: servers, the topic, a folder of the local disk.  Safe in threads."""

    bootstrap: str
    produced: Produced
    zookeeper: str  # hosts
    webhdfs: str  # host:port
    folder: Path
    client: KazooClient
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def places(self, store: str) -> tuple[Path, str, str]:
        """A new folder for the job file, URLs of a store of that kind and of the sink that goes with it."""
        name = f"{self.folder.name}/{next(self.numbers)}"
        folder = self.folder.parent / name
        folder.mkdir(parents=True)
        return folder, *STORES[store](self, name, folder)


# Each kind of store and of sink, so that each failpoint of a sink is passed on both kinds of file systems.
STORES: Mapping[str, Callable[[Bench, str, Path], tuple[str, str]]] = {
    "zookeeper": lambda b, name, _: (
        f"zookeeper://{b.zookeeper}/crash/{name}",
        f"webhdfs://{b.webhdfs}/crash/{name}/lake",
    ),
    "hdfs": lambda b, name, folder: (f"webhdfs://{b.webhdfs}/crash/{name}/store", f"file://{folder}/lake"),
    "file": lambda b, name, folder: (f"file://{folder}/store", f"file://{folder}/lake"),
}
STORE_POINTS = ("lock.", "create.", "replace.", "take.")  # where the store is about to write, and not the sink


def run_tuple(bench: Bench, crew: Crew, case: Tuple, planted: str = "") -> Outcome:
    """Runs it; raises only for what is wrong with the harness itself."""
    folder, store, sink = bench.places(case.store)
    Folder(store).make() if not store.startswith("zookeeper:") else None
    guarantee, kind = case.profile
    job = folder / "crash.cfg"
    more = MORE[kind].format(side="{side}", sink="Upsert" if guarantee == "exactly-once" else "Append")
    names = {"name": folder.name, "function": FUNCTION[kind], "guarantee": guarantee, "topic": bench.produced.topic}
    job.write_text(JOB.format(**names, batch=BATCH, bootstrap=bench.bootstrap, store=store, sink=sink, more=more))
    history = follow(store, bench.client)
    full = (store if case.point.startswith(STORE_POINTS) else sink) if case.action == "full" else ""
    try:
        run = _Run(crew, case, str(job), Witness(sink, history), Evidence(guarantee, kind, case.action, bench.produced))
        return run.run(Fault(case.point, case.action, case.hit, full), sink if case.consumed else "", planted)
    finally:
        history.close()


@dataclass
class _Run:
    """One tuple under way."""

    crew: Crew
    case: Tuple
    job: str
    witness: Witness
    evidence: Evidence

    def run(self, fault: Fault, consumed: str, planted: str) -> Outcome:
        self.crew.said()
        if self.case.earlier:
            self._end("earlier", self._start(Fault(self.case.earlier, "kill"), consumed, planted), "crash")
        first = self._start(fault, consumed, planted)
        status = self.crew.wait(first)
        if status is None:
            self._freeze(first, consumed, planted)
        else:
            self._note("fault", status, "crash")
        if fault.folder:
            empty(fault.folder)
        last = self._start(None, consumed, planted)
        self._end("clean", last, "end")
        self.evidence.history = self.witness.history.seen()
        if self.case.profile[1] == "direct":
            self.evidence.direct, self.evidence.spans = received(self.job), spans(self.job)
        return self._outcome()

    def _freeze(self, first: int, consumed: str, planted: str) -> None:
        """Another launch takes over, unless a lock of the kernel's keeps it out; then the first one is woken."""
        self._look("frozen")
        other = self._start(None, consumed, planted)
        self._end("takeover", other, "takeover")
        self.crew.wake(first)
        over = self.evidence.exits[-1].status == 0
        self._end("fault", first, "woken" if over and not self._fresh() else "late")

    def _fresh(self) -> bool:
        """Whether the frozen one had not read the register: then it is, woken, just the next launch."""
        return self.case.point in BEFORE_READ

    def _start(self, fault: Fault | None, consumed: str, planted: str) -> int:
        return self.crew.start(self.job, fault, consumed, planted)

    def _end(self, what: str, pid: int, when: str) -> None:
        self._note(what, self.crew.wait(pid), when)

    def _note(self, what: str, status: int | None, when: str) -> None:
        self.evidence.exits.append(Exit(what, status, self.crew.said()))
        self._look(when)

    def _look(self, when: str) -> None:
        self.evidence.looks.append(self.witness.look(when))

    def _outcome(self) -> Outcome:
        said = [f"== {exit.what}: {exit.status}\n{exit.said}" for exit in self.evidence.exits]
        landed = any(f"{LANDED} {self.case.action} at {self.case.point}" in text for text in said)
        return Outcome(self.evidence, violated(self.evidence), landed, f"{self.case.id} in {self.job}\n{''.join(said)}")


BEFORE_READ = ("lock.before", "lock.after", "read.before")
