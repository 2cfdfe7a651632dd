"""Which tenth of the tuples the plain suite runs: another one each time, unless CRASH_SEED says so."""

from __future__ import annotations

import os
import random

SEED = int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(10**6))
