"""Times and spans of time as operators' scripts tell them.  In: milliseconds since the Unix epoch, and seconds."""

from __future__ import annotations

from datetime import datetime, timezone

from streaming.config.values import SECONDS


def iso(time_ms: int | None) -> str | None:
    """UTC, to the second; None for never."""
    return datetime.fromtimestamp(time_ms / 1000, timezone.utc).isoformat(timespec="seconds") if time_ms else None


def ago(time_ms: int, now: int) -> str:
    """For people, in the unit that fits."""
    return f"{span((now - time_ms) / 1000)} ago"


def span(seconds: float) -> str:
    """For people, in the unit that fits, rounded down; 0s for less."""
    whole = max(int(seconds), 0)
    unit = next((u for u in "dhm" if whole >= 2 * SECONDS[u]), "s")
    return f"{whole // SECONDS[unit]}{unit}"
