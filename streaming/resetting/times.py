"""Moments and durations as kafka-consumer-groups takes them.  Each raises ValueError, with what was likely meant."""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import isodate

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
# A number and its unit, however it is written: 90m, 1 day, 1DT2H.
PART = re.compile(r"(\d+)\s*([wdhms])", re.ASCII | re.IGNORECASE)


def moment(text: str) -> int:
    """Milliseconds since the Unix epoch; without a zone it is UTC, as in Kafka's tool."""
    try:
        if not MOMENT.fullmatch(text):
            raise ValueError
        time = isodate.parse_datetime(text)
        found = (time if time.tzinfo else time.replace(tzinfo=timezone.utc)) - datetime.fromtimestamp(0, timezone.utc)
    except (ValueError, OverflowError):
        told = "must be a time like 2026-11-21T09:30:00.000 (UTC), or with Z or +01:00 behind it"
        raise ValueError(told + _meant(_near_moment(text))) from None
    if found < timedelta(0):
        raise ValueError("must not be before 1970")
    return found // timedelta(milliseconds=1)


def duration(text: str) -> int:
    """Milliseconds, more than none."""
    try:
        found = isodate.parse_duration(text)
    except (ValueError, OverflowError):
        found = None
    if not isinstance(found, timedelta):  # the library has a type of its own for months and years
        why = "; months and years are not always the same time" if found else ""
        raise ValueError(f"must be a duration like P1DT2H, PT90M or P7D{why}{_meant(_near_duration(text))}")
    if found <= timedelta(0):
        raise ValueError("must be more than no time")
    return found // timedelta(milliseconds=1)


def told(time_ms: int) -> str:
    """As `moment` takes it."""
    time = datetime.fromtimestamp(0, timezone.utc) + timedelta(milliseconds=time_ms)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _meant(near: str | None) -> str:
    return f"; did you mean {near}?" if near else ""


def _near_moment(text: str) -> str | None:
    """The same numbers, each within its bounds; None if they are no date."""
    if re.fullmatch(r"\d{12,14}", text, re.ASCII):  # milliseconds, as startingTimestamp takes them
        return told(int(text))
    zone = re.search(r"(?<=\d)(Z|[+-]\d\d:?\d\d)$", text) if ":" in text else None
    numbers = [int(n) for n in re.findall(r"\d+", text[: zone.start()] if zone else text)]
    if len(numbers) < 3 or not 1970 <= numbers[0] <= 9999:
        return None
    year, month = numbers[0], _bounded(numbers[1], 1, 12)
    day = _bounded(numbers[2], 1, calendar.monthrange(year, month)[1])
    rest: Sequence[int] = [*numbers[3:7], 0, 0, 0, 0]
    hour, minute, second, ms = (_bounded(n, 0, most) for n, most in zip(rest, (23, 59, 59, 999), strict=False))
    near = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}"
    return near + (zone[0] if zone else "")


def _bounded(number: int, low: int, high: int) -> int:
    return min(max(number, low), high)


def _near_duration(text: str) -> str | None:
    """Of the same parts; None if there are none."""
    parts = {unit.upper(): int(number) for number, unit in PART.findall(text)}
    days = parts.get("W", 0) * 7 + parts.get("D", 0)
    time = "".join(f"{parts[unit]}{unit}" for unit in "HMS" if parts.get(unit))
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "") if days or time else None
