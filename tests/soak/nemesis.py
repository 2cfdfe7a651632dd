"""Strikes in an order that the seed alone decides, and most often while a batch is in flight."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import psutil
from confluent_kafka import KafkaException
from demonstration.launches import Launch

from tests.soak.faults import FAULTS
from tests.soak.scene import NoTarget, Scene, Struck
from tests.soak.sight import Moment, Sight
from tests.soak.world import World

PATIENCE = 90.0  # seconds to wait for a batch in flight, before striking without one
PREPARE_SECONDS = 5.0  # from the first staged file to PREPARE, as long as that is waited for
LOOK_SECONDS = 0.03
DELAYS = (0.0, 0.05, 0.3, None)  # seconds after the first staged file; None: once the batch is prepared
REST = (0.2, 2.0)  # seconds between faults
MISSED = (NoTarget, psutil.NoSuchProcess, KafkaException, TimeoutError)  # its target was gone, or did not obey


@dataclass(frozen=True)
class Strike:
    """`batch`: the number of the batch in flight that it landed in, if it did."""

    fault: str
    target: str
    batch: int | None

    def __str__(self) -> str:
        where = "idle" if self.batch is None else f"in batch {self.batch}"
        return f"{self.fault:24}{where:14}{self.target}"


def schedule(seed: int, names: Sequence[str]) -> Iterator[tuple[str, random.Random]]:
    """Names of faults without end, by their weights, each with dice of its own: the same for the same seed."""
    deck = [name for name in names for _ in range(FAULTS[name].weight)]
    order, number = random.Random(seed), 0
    while True:
        order.shuffle(deck)
        for name in deck:
            number += 1
            yield name, random.Random(f"{seed} {number}")


@dataclass
class Lasting:
    """A fault that is not mended yet.  `acting` mends it when it is resumed."""

    acting: Iterator[Struck]
    struck: Struck
    until: float

    def over(self) -> bool:
        return time.monotonic() > self.until or self.struck.over()

    def mend(self) -> None:
        next(self.acting, None)


@dataclass
class Nemesis:
    """`strikes`: what was done; a fault that finds no target is left out."""

    world: World
    sight: Sight
    launches: list[Launch]
    seed: int
    tell: Callable[[object], None]
    strikes: list[Strike] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lasting: list[Lasting] = []

    @property
    def in_flight(self) -> int:
        return sum(strike.batch is not None for strike in self.strikes)

    def run(self, over: Callable[[], bool]) -> None:
        """Strikes until `over`; all is mended then."""
        names = [name for name, fault in FAULTS.items() if fault.server in self.world.names]
        for name, dice in schedule(self.seed, names):
            if over():
                break
            self._strike(name, dice)
            self._wait(lambda: False, dice.uniform(*REST))
        for lasting in self._lasting:
            lasting.mend()

    def _strike(self, name: str, dice: random.Random) -> None:
        moment = self._await(dice)
        acting = FAULTS[name].act(Scene(self.world, self.sight, moment, self.launches, dice))
        try:
            struck = next(acting)
        except MISSED:
            return
        landed = moment is not None and self.sight.still(moment)
        self.strikes.append(Strike(name, struck.target, moment.seq if moment and landed else None))
        self.tell(self.strikes[-1])
        lasting = Lasting(acting, struck, time.monotonic() + struck.seconds)
        if struck.meanwhile:
            self._lasting.append(lasting)
        else:
            self._wait(struck.over, struck.seconds)
            lasting.mend()

    def _await(self, dice: random.Random) -> Moment | None:
        """A moment between the first staged file and the commit of a batch, or None if none comes."""
        delay = dice.choice(DELAYS)
        found: list[Moment] = []

        def seen() -> bool:
            found.extend(filter(None, [self.sight.moment(self.launches)]))
            return bool(found)

        self._wait(seen, PATIENCE)
        if found and delay is None:
            self._wait(lambda: self.sight.prepared() or not self.sight.still(found[0]), PREPARE_SECONDS)
        elif found and delay:
            time.sleep(delay)
        return found[0] if found else None

    def _wait(self, over: Callable[[], bool], seconds: float) -> None:
        """Until it is over, or so many seconds have passed; meanwhile mends what has lasted long enough."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not over():
            for lasting in [each for each in self._lasting if each.over()]:
                self._lasting.remove(lasting)
                lasting.mend()
            time.sleep(LOOK_SECONDS)
