"""What the cursor of the register expects and Kafka no longer has: expired, truncated, vanished, replaced, missing.

Finds all of it at once, and where each partition could go on.  Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from offsets.snapshot import Snapshot, TopicSnapshot
from offsets.structs import Loss, TopicState


def find_losses(topics: Mapping[str, TopicState], snapshot: Snapshot) -> list[Loss]:
    """Everything that the cursor expects and Kafka no longer has, sorted by topic and partition."""
    return [loss for name in sorted(topics) for loss in _losses_of(name, topics[name], snapshot.get(name))]


def resume_topic(known: TopicState, now: TopicSnapshot) -> dict[int, int]:
    """Where each partition that the topic has now could go on: as it is known, but within what is readable."""
    offsets = known.offsets if known.id == now.id else {}
    spans = sorted(now.partitions.items())
    whole = {p: min(offset, now.truncated.get(p, offset)) for p, offset in offsets.items()}
    return {p: min(max(whole.get(p, beginning), beginning), end) for p, (beginning, end) in spans}


def _losses_of(name: str, known: TopicState, now: TopicSnapshot | None) -> Iterator[Loss]:
    if now is None:
        yield Loss("TOPIC_MISSING", name, -1, -1, -1, -1, f"Kafka does not have the topic with id {known.id}")
    elif now.id != known.id:
        detail = f"its id was {known.id} and is {now.id}: deleted and created again"
        yield Loss("REPLACED", name, -1, -1, -1, -1, detail)
    else:
        for partition, offset in sorted(known.offsets.items()):
            if loss := _loss_of(name, partition, offset, now.partitions.get(partition), now.truncated.get(partition)):
                yield loss


def _loss_of(name: str, partition: int, offset: int, span: tuple[int, int] | None, cut: int | None) -> Loss | None:
    if span is None:
        detail = f"Kafka no longer has the partition; it was read up to {offset}"
        return Loss("VANISHED", name, partition, offset, offset, -1, detail)
    beginning, end = span
    if offset < beginning:
        detail = f"committed {offset}, the log begins at {beginning}"
        return Loss("EXPIRED", name, partition, offset, beginning, beginning, detail)
    resume = end if cut is None else min(cut, end)
    if offset > end:
        detail = f"committed {offset}, the log ends at {end}"
        return Loss("BEYOND_END", name, partition, resume, offset, resume, detail)
    if cut is not None:
        detail = f"committed {offset}, an unclean election cut the log at {cut} and other records follow"
        return Loss("TRUNCATED", name, partition, resume, offset, resume, detail)
    return None
