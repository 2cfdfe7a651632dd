"""What a plan, a skip and the schemas of a batch must be to go on from a register.  Pure.

Each raises ProtocolError, which says what does not join up; nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Mapping

from offsets.errors import ProtocolError
from offsets.structs import LostRange, OffsetRange, TopicState


def check_cursor(old: Mapping[str, TopicState], new: Mapping[str, TopicState]) -> None:
    """What is committed stays as it is; partitions and topics may be added."""
    for name, known in old.items():
        now = new.get(name)
        if now is None or now.id != known.id:
            raise ProtocolError(
                f"the plan does not go on from the register: topic {name} with id {known.id} is not in it"
            )
        for partition, offset in known.offsets.items():
            if now.offsets.get(partition) != offset:
                found = now.offsets.get(partition)
                raise ProtocolError(f"the plan has {name}-{partition} at {found}, the register has {offset}")


def check_losses(old: Mapping[str, TopicState], new: Mapping[str, TopicState], losses: tuple[LostRange, ...]) -> None:
    """A skip names each partition that it moves, and some."""
    lost = {loss.topic_partition for loss in losses}
    if not losses or sorted(lost) != [loss.topic_partition for loss in losses]:
        raise ProtocolError(f"losses must be sorted and name a partition once: {', '.join(map(str, losses)):.500}")
    for name, known in old.items():
        same = name in new and new[name].id == known.id
        for partition, offset in known.offsets.items():
            found = new[name].offsets.get(partition) if same else None
            if found != offset and (name, partition) not in lost:
                raise ProtocolError(f"skip moves {name}-{partition} from {offset} to {found}, which is not named lost")


def pinned_with(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The register's schemas, by table, with those of a batch."""
    for table, schema in new.items():
        if old.get(table, schema) != schema:
            which = f"table {table}" if table else "the table of the root"
            raise ProtocolError(f"{which} has its schema, for ever, and this is another")
    return {**old, **new}


def check_ranges(topics: Mapping[str, TopicState], ranges: tuple[OffsetRange, ...]) -> None:
    """Sorted, none of them empty, and each begins at the committed offset of its partition."""
    if sorted({r.topic_partition for r in ranges}) != [r.topic_partition for r in ranges]:
        raise ProtocolError(f"ranges must be sorted and name a partition once: {', '.join(map(str, ranges)):.500}")
    for r in ranges:
        start = topics[r.topic].offsets.get(r.partition) if r.topic in topics else None
        if r.from_offset != start:
            raise ProtocolError(
                f"{r} does not begin at the committed offset {start}: was it planned past a failed batch?"
            )
        if r.size() <= 0:
            raise ProtocolError(f"{r} is empty: offsets would stand still or shrink")
