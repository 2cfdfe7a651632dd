"""What a fault finds when it strikes, and what it says of itself then."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from demonstration.launches import Launch

from tests.soak.sight import Moment, Sight
from tests.soak.world import World


class NoTarget(Exception):
    """There is nothing to strike now."""


class Struck(NamedTuple):
    """`target`: what; the fault lasts until `over`, for `seconds` at most.  `meanwhile`: others may strike as well."""

    target: str
    seconds: float = 0.0
    over: Callable[[], bool] = lambda: False
    meanwhile: bool = False


@dataclass(frozen=True)
class Scene:
    """What a fault finds: `moment` is None if no batch is in flight."""

    world: World
    sight: Sight
    moment: Moment | None
    launches: list[Launch]
    dice: random.Random


Act = Callable[[Scene], Iterator[Struck]]
