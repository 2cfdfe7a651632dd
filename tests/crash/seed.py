"""Which tenth of the tuples the plain suite runs: the same for everybody, so that a change is not blamed for bad luck.

Another one by CRASH_SEED; all of them in `full`.
"""

from __future__ import annotations

import os

SEED = int(os.environ.get("CRASH_SEED", "5"))
