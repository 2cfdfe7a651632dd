"""Event times: from what a record or a field holds to a minute, and to what a zone's clock shows in it.  Pure."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streaming.formats.base import UnfitError

EXTRACTORS = RECORD, RECORD_FIELD = ("Record", "RecordField")  # Kafka Connect's names: where event times come from
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)

Minute = tuple[int, bool]
"""Minutes since the epoch, and whether they are a wall clock's, which no zone moves."""


def known_time(timestamp: int) -> int:
    """Kafka's timestamp.  Raises UnfitError for -1, a record that has none."""
    if timestamp < 0:
        raise UnfitError("the record has no timestamp")
    return timestamp


def minute_of(value: Any) -> Minute:
    """The minute of an event time: int in ms, float in s, datetime, date, or text in ISO 8601.

    Without an offset it is what a clock in the sink's zone showed.  Raises UnfitError.
    """
    try:
        if type(value) is int:
            return value // 60_000, False
        if type(value) is float:
            return math.floor(value / 60), False
        if isinstance(value, str):
            value = datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
        if isinstance(value, datetime):
            wall = value.tzinfo is None
            return ((value.replace(tzinfo=timezone.utc) if wall else value) - EPOCH) // MINUTE, wall
        if isinstance(value, date):
            return (value - EPOCH.date()) // MINUTE, True
    except (ValueError, OverflowError) as e:
        raise UnfitError(f"its event time {value!r:.40} is none: {e}") from None
    raise UnfitError(f"its event time is {value!r:.40}, not ms (int), s (float), a datetime or text in ISO 8601")


def local_time(minute: Minute, zone: str) -> datetime:
    """What the zone's clock shows in that minute.  Raises UnfitError outside of the years 1 to 9999."""
    minutes, wall = minute
    try:
        moment = EPOCH + timedelta(minutes=minutes)
        return moment if wall else moment.astimezone(ZoneInfo(zone))
    except OverflowError:
        raise UnfitError("its event time is outside of the years 1 to 9999") from None


def zone_problems(zone: str) -> list[str]:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return ["is no time zone that this machine knows; they look like Europe/Berlin"]
    return []
