"""Whether the imported `streaming` and `offsets` are ours: another distribution can overwrite such names silently."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import offsets
import streaming
from offsets.errors import ConfigError

OURS = "kafka-direct-streaming"


def check_ownership() -> Path:
    """The folder that holds both packages.  Raises ConfigError naming a package that is not ours."""
    strangers = [m for m in (offsets, streaming) if getattr(m, "DISTRIBUTION", None) != OURS]
    homes = {root(m) for m in (offsets, streaming)}
    if strangers or len(homes) > 1:
        found = ", ".join(f"{m.__name__} from {root(m) / m.__name__}" for m in (offsets, streaming))
        raise ConfigError(
            [f"the imported packages are not those of {OURS}: {found}"],
            f"remove the distribution that overwrote them, or reinstall with pip install --force-reinstall {OURS}",
        )
    return homes.pop()


def root(module: ModuleType) -> Path:
    """The folder in which a package's folder lies."""
    return Path(next(iter(module.__path__))).resolve().parent
