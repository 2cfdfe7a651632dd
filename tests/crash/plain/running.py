"""One tuple of the crash suite, from an empty place to a verdict: `run_tuple`.

    outcome = run_tuple(bench, crew, Tuple(("exactly-once", "staged"), "zookeeper", "prepare.sent", "kill"))
    assert not outcome.violated, outcome.story

With `planted="module:function"` every launch calls that function first, in its own process, before the product runs:
a planted bug patches there what it likes, and must turn up in `outcome.violated`, by the name of an invariant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.crash.invariants import violated
from tests.crash.plain.bench import KERNEL_LOCKS, STORE_POINTS, STORES, Bench, Profile
from tests.crash.plain.crew import Crew
from tests.crash.plain.evidence import Evidence, Exit, Witness
from tests.crash.plain.faults import LANDED, Fault, empty
from tests.crash.plain.registers import follow
from tests.crash.plain.sinks import received, spans

__all__ = ["STORES", "STORE_POINTS", "Bench", "Outcome", "Profile", "Tuple", "run_tuple"]
BEFORE_READ = ("lock.before", "lock.after", "read.before")  # nothing has been read that could be old
COMMAND = "python -m pytest 'tests/crash/test_tuples.py::test_tuple[{}]'"
LAUNCHES = 10  # after which a launch that should get the lock will never


@dataclass(frozen=True)
class Tuple:
    """A point of the matrix.  `hit`: the how many-th time that the point is reached.

    `earlier`: a launch before is killed there, so that this one begins with what it has left.  `second`: there the one
    that takes over from a frozen one is killed.  `consumed`: a consumer moves each file away as it is published.
    `reset`: the fault is that of a person's reset_offsets.py, which takes every partition back to its beginning.
    """

    profile: Profile
    store: str  # a key of STORES, or of DATABASES
    point: str
    action: str  # one of plain.faults.ACTIONS
    hit: int = 1
    earlier: str = ""
    consumed: bool = False
    second: str = ""
    reset: bool = False

    @property
    def id(self) -> str:
        words: tuple[str, ...] = (*self.profile, self.store, self.point, self.action)
        more: tuple[str, ...] = (f"hit{self.hit}" * (self.hit > 1), f"after-{self.earlier}" * bool(self.earlier))
        more += (f"beside-{self.second}" * bool(self.second), "resets" * self.reset)
        return "-".join(filter(None, (*words, *more, "consumed" * self.consumed)))


@dataclass(frozen=True)
class Outcome:
    """`violated`: by the name of an invariant, what contradicts it; `landed`: whether the fault has happened."""

    evidence: Evidence
    violated: Mapping[str, list[str]]
    landed: bool
    story: str  # for people: what ended how, and all that was said


def run_tuple(bench: Bench, crew: Crew, case: Tuple, planted: str = "") -> Outcome:
    """Runs it; raises only for what is wrong with the harness itself."""
    places, (guarantee, kind) = bench.lay_out(case.profile, case.store), case.profile
    history = follow(places.store, bench.client)
    full = (places.store if case.point.startswith(STORE_POINTS) else places.sink) if case.action == "full" else ""
    evidence = Evidence(guarantee, kind, case.action, case.store, bench.produced)
    try:
        run = _Run(crew, case, places.job, Witness(places.sink, history), evidence)
        return run.run(Fault(case.point, case.action, case.hit, full), places.sink if case.consumed else "", planted)
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
        first = self._reset(fault, planted) if self.case.reset else self._start(fault, consumed, planted)
        status = self.crew.wait(first)
        if status is None:
            self._freeze(first, consumed, planted)
        else:
            self._note("fault", status, "crash")
        if fault.folder:
            empty(fault.folder)
        self._relaunch("clean", None, consumed, planted)
        self.evidence.history = self.witness.history.seen()
        if self.case.profile[1] == "direct":
            self.evidence.direct, self.evidence.spans = received(self.job), spans(self.job)
        return self._outcome()

    def _freeze(self, first: int, consumed: str, planted: str) -> None:
        """Another launch takes over, unless a lock of the kernel's keeps it out; then the first one is woken."""
        self._look("frozen")
        self._relaunch("takeover", Fault(self.case.second, "kill") if self.case.second else None, consumed, planted)
        self.crew.wake(first)
        over = self.evidence.exits[-1].status == 0
        self._end("fault", first, "woken" if over and not self._fresh() else "late")

    def _relaunch(self, what: str, fault: Fault | None, consumed: str, planted: str) -> None:
        """As cron does: once more after a status that says so, which a machine that is slow enough may bring about."""
        again = (75, 69) if what == "clean" or self.case.store not in KERNEL_LOCKS else ()
        for _ in range(LAUNCHES):
            self._end(what, self._start(fault, consumed, planted), what)
            if self.evidence.exits[-1].status not in again:
                break

    def _fresh(self) -> bool:
        """Whether the frozen one had not read the register: then it is, woken, just the next launch."""
        return self.case.point in BEFORE_READ

    def _reset(self, fault: Fault, planted: str) -> int:
        words = ("--all-topics", "--to-earliest", "--execute")
        return self.crew.start(self.job, fault, "", planted, words, "reset_offsets")

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
        return Outcome(
            self.evidence,
            violated(self.evidence),
            landed,
            f"{COMMAND.format(self.case.id)}\n{self.job}\n{''.join(said)}",
        )
