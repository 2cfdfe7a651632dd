"""One soak from start to verdict: launches, producers and a consumer at work while everything around is struck."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.reader import Lake
from tests.soak.cron import QUICKLY, Cron
from tests.soak.mover import Mover, move_in_hdfs, move_on_disk
from tests.soak.nemesis import Nemesis
from tests.soak.producing import Producer, produced
from tests.soak.sight import Sight, lag, partitions
from tests.soak.verdict import Verdict, judge, landed, readable
from tests.soak.world import COMPACTED, LAKE, PARTITIONS, PLACES, SINKS, STORES, TAKEN, World, world_of

END_SECONDS = 25.0  # of the time asked for: to end what runs, for two clean launches and the check
MORE_SECONDS = 300.0  # beyond it, on a slow machine, until a fault has landed in a batch
CLEAN_SECONDS = 600.0
DRAIN_SECONDS = 180.0


@dataclass(frozen=True)
class Outcome:
    """`in_flight`: faults that landed in a batch."""

    exact: bool
    in_flight: int


def run_soak(folder: Path, seconds: float, seed: int, store: str = STORES[0], sink: str = SINKS[0]) -> Outcome:
    """Prints all along.  No process is left, however it ends; the logs stay in `folder`."""
    began = time.monotonic()

    def tell(what: object) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    again = f"--minutes {seconds / 60:g} --seed {seed} --store {store} --sink {sink}"
    print(f"seed {seed}; the same order of faults: ./scripts/test soak {again}", flush=True)
    with world_of(folder, store, sink) as world, soaking(world, seed, tell) as soak:
        tell(f"servers are up: {', '.join(world.names)}; logs in {folder}")
        soak.strike(began + seconds - END_SECONDS)
        soak.heal()
        return soak.report()


class Soak:
    """`tell`: a line with its time.  Nothing of it has begun yet."""

    def __init__(self, world: World, seed: int, tell: Callable[[object], None]) -> None:
        self.world, self.tell = world, tell
        servers = world.sandbox.kafka.bootstrap
        self.producers = [Producer(servers, topic, world.folder, seed) for topic in PARTITIONS]
        self.cron, self.mover = Cron(world.job, seed), Mover(Lake(world.sink_url()), move_in(world))
        self.sight = Sight(world.store_url(), world.sink_url())
        self.nemesis = Nemesis(world, self.sight, self.cron.launches, seed, tell)
        self.clean: list[int] = []

    def strike(self, end: float) -> None:
        """Faults until then; on a slow machine until one of them has landed in a batch."""

        def over() -> bool:
            late = time.monotonic() - end
            return late > MORE_SECONDS or (late > 0 and self.nemesis.in_flight > 0)

        self.nemesis.run(over)

    def heal(self) -> None:
        """All is up, nothing is produced any more, and two launches run undisturbed."""
        self.world.heal()
        self.cron.stop()
        for producer in self.producers:
            producer.finish()
        self.cron.drain(DRAIN_SECONDS)
        self.tell(f"healed; launches that are still at work: {len(self.cron.running())}")
        self.clean = [self.cron.launch("--available-now", *QUICKLY).wait(CLEAN_SECONDS) for _ in range(2)]
        self.tell(f"two clean launches ended with {self.clean}")
        self.mover.finish()

    def verdict(self) -> Verdict:
        servers = self.world.sandbox.kafka.bootstrap
        there = partitions(servers, PARTITIONS)
        lakes = [Lake(self.world.sink_url(place=place)) for place in PLACES]
        return judge(
            produced(producer.log for producer in self.producers),
            landed(lakes, self.mover.lengths),
            readable(servers, there),
            {COMPACTED},
            lag(servers, self.world.store_url(), there),
            [*self.sight.wrong, *self.troubles()],
        )

    def troubles(self) -> list[str]:
        """Launches that ended as none should."""
        found = [f"{each.launch.log.name}: {each.wrong}" for each in self.cron.ended() if each.wrong]
        found += [f"a clean launch ended with {status}" for status in self.clean if status]
        return found + [f"{launch.log.name} never ended" for launch in self.cron.running()]

    def report(self) -> Outcome:
        verdict, strikes = self.verdict(), self.nemesis.strikes
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.cron.statuses().items()))
        self.tell(f"launches: {len(self.cron.launches)}; by exit status: {statuses}")
        self.tell(f"faults: {len(strikes)}; in a batch in flight: {self.nemesis.in_flight}")
        self.tell(f"records: {verdict.produced:,} committed; {verdict.landed:,} landed in {verdict.files:,} files")
        self.tell(f"{verdict.lost} lost, {verdict.doubled} doubled, {verdict.phantom} phantom, lag {verdict.lag}")
        for line in verdict.wrong:
            self.tell(f"wrong: {line}")
        self.tell("EXACT" if verdict.exact else "NOT EXACT")
        return Outcome(verdict.exact, self.nemesis.in_flight)


@contextmanager
def soaking(world: World, seed: int, tell: Callable[[object], None]) -> Iterator[Soak]:
    """Everything but the nemesis is at work in the block, and ended with it."""
    soak = Soak(world, seed, tell)
    with closing(soak.sight):
        try:
            for thread in (*soak.producers, soak.cron, soak.mover):
                thread.start()
            yield soak
        finally:
            for producer in soak.producers:
                producer.kill()
            soak.cron.stop()
            soak.cron.kill()


def move_in(world: World) -> Callable[[str], None]:
    """How the consumer moves a file out of the lake."""
    if world.sink == "local":
        return move_on_disk(world.folder / LAKE, world.folder / TAKEN)
    return move_in_hdfs(world.sandbox.hdfs.client(), f"/{LAKE}", f"/{TAKEN}")
