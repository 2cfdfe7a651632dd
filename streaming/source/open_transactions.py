"""What open transactions hold back: reported, never waited for and never skipped.  Runs on the driver; reads only.

Readers of committed records get as far as the last stable offset (LSO), the first record of the oldest open
transaction.  A transaction that nobody ends keeps it there for as long as the broker lets it, while the high watermark
grows: for the reader there is nothing new.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from offsets.errors import StreamError
from offsets.snapshot import TopicSnapshot

log = logging.getLogger(__name__)
FROZEN_SECONDS = 60.0  # a producer's transaction.timeout.ms, unless it says otherwise
AGAIN_SECONDS = 600.0  # between two warnings of one partition

Held = dict[str, dict[str, dict[str, Any]]]  # by topic and partition, as a run reports it


def held_back(snapshot: Mapping[str, TopicSnapshot], before: Held, now: float) -> Held:
    """Of every partition with records behind its last stable offset: how many, and since when it has not moved.

    `before`: what was found earlier, also by another run.  `now`: seconds since the epoch.
    """
    found: Held = {}
    for topic, seen in sorted(snapshot.items()):
        for partition, (_, stable) in sorted(seen.partitions.items()):
            lag = seen.high_watermarks.get(partition, stable) - stable
            if lag > 0:
                known = before.get(topic, {}).get(str(partition), {})
                since = known["since"] if known.get("lastStableOffset") == stable else _iso(now)
                found.setdefault(topic, {})[str(partition)] = {
                    "lastStableOffset": stable,
                    "lastStableOffsetLag": lag,
                    "since": since,
                }
    return found


def lines(held: Held, now: float, seconds: float = 0.0) -> Iterator[tuple[tuple[str, int], str]]:
    """A line for each partition whose last stable offset has not moved for so long, with what it is about."""
    for topic, partitions in held.items():
        for partition, found in partitions.items():
            if now - datetime.fromisoformat(found["since"]).timestamp() >= seconds:
                count, stable = found["lastStableOffsetLag"], found["lastStableOffset"]
                yield (
                    (f"{topic}-{partition}", stable),
                    f"{topic}-{partition}: an open transaction holds back {count:,} records from offset {stable} on, "
                    f"since {found['since']} at least; they are read once it ends",
                )


def told(held: Held, now: float) -> list[str]:
    """All of it, for people."""
    return [line for _, line in lines(held, now)]


class TransactionWatch:
    """Told of every look at Kafka.  `before`: what the last run has reported, asked for only if something is held."""

    def __init__(self, before: Callable[[], Held], wall: Callable[[], float] = time.time) -> None:
        self._before, self._wall = before, wall
        self._asked = False
        self._warned: dict[tuple[str, int], float] = {}
        self.held: Held = {}

    def see(self, snapshot: Mapping[str, TopicSnapshot]) -> None:
        """Remembers what is held back, and warns of what has been for long."""
        now = self._wall()
        self.held = held_back(snapshot, self.held, now)
        if self.held and not self._asked:
            self._asked = True
            self.held = held_back(snapshot, self._before(), now)
        for place, line in lines(self.held, now, FROZEN_SECONDS):
            if now - self._warned.get(place, 0.0) >= AGAIN_SECONDS:
                self._warned[place] = now
                log.warning(line)


def reported(reports: Iterator[Mapping[str, Any]]) -> Held:
    """What the newest of these run reports says is held back; nothing if it cannot be read or is not one of ours."""
    try:
        found: Held = next(reports, {})["sources"][0]["openTransactions"]
        for partition in (p for topic in found.values() for p in topic.values()):
            datetime.fromisoformat(partition["since"])
        return found
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OSError, StreamError):
        return {}


def _iso(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
