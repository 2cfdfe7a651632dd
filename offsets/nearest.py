"""How a message about an unknown name ends."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """The known names that are most like `word`, as a question; empty if none is."""
    found = difflib.get_close_matches(word, list(known))
    return f"; did you mean {' or '.join(found)}?" if found else ""
