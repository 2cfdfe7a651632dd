"""Why a range does not get on: are its offsets still in the log?  Runs on executors, beside the fetch; reads only.

Answers from the partition's leader and from metadata, never from silence: when the brokers do not answer, nothing is
known to be lost.
"""

from __future__ import annotations

from offsets.structs import Loss, OffsetRange, TopicPartition
from streaming.fetching.source import Source, Unanswered


def find_loss(source: Source, range_: OffsetRange, position: int) -> Loss | None:
    """What of [position, until) is lost for good, as the brokers answer now; None also when they do not answer.

    EXPIRED can only be true.  The other kinds may be a broker's stale view just after a restart or a change of
    leader: ask twice.  Raises Forbidden.
    """
    try:
        return _unlisted(source, range_, position) or _outside(source, range_, position)
    except Unanswered:
        return None


def _unlisted(source: Source, range_: OffsetRange, position: int) -> Loss | None:
    partitions = source.partitions(range_.topic)
    if partitions is None:
        return Loss("TOPIC_MISSING", range_.topic, -1, 0, 0, 0, f"while reading {range_}")
    if range_.partition in partitions:
        return None
    return _loss("VANISHED", range_, position, range_.until_offset, 0)


def _outside(source: Source, range_: OffsetRange, position: int) -> Loss | None:
    begin, end = source.span(TopicPartition(range_.topic, range_.partition))
    if position < begin:
        return _loss("EXPIRED", range_, position, min(begin, range_.until_offset), begin)
    if end < range_.until_offset:
        return _loss("BEYOND_END", range_, end, range_.until_offset, end)
    return None


def _loss(kind: str, range_: OffsetRange, lost_from: int, lost_until: int, resume: int) -> Loss:
    return Loss(kind, range_.topic, range_.partition, lost_from, lost_until, resume, f"while reading {range_}")
