"""What state, manifest and marker look like as JSON values, and the checks that such a value is exactly that.

`dump_*` gives plain lists and dicts, `load_*` the structs.  Every load raises ValueError, and nothing else, for a field
too many, too few or of another type, for a number out of range, and for parts that contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from offsets.json_losses import dump_losses, load_losses
from offsets.json_values import (
    MAX_OFFSET,
    Load,
    as_integer,
    as_list,
    as_mapping,
    as_name,
    as_path,
    as_text,
    checked_fields,
    fields_of,
    pack,
    unpack,
)
from offsets.structs import (
    GUARANTEES,
    TRANSACTIONAL_ONCE,
    Manifest,
    ManifestRef,
    OffsetRange,
    Owner,
    Pending,
    StagedFile,
    State,
    TopicState,
)


def dump_state(s: State) -> dict[str, Any]:
    owner = [s.owner.host, s.owner.pid, s.owner.started, s.owner.run_id]
    forms = {"owner": owner, "topics": dump_topics(s.topics), "pending": s.pending and dump_pending(s.pending)}
    before = None if s.before is None else dump_topics(s.before)
    forms |= {"schemas": dict(s.schemas), "losses": dump_losses(s.losses), "before": before}
    return {name: getattr(s, name) for name in _STATE} | forms


def load_state(value: Any) -> State:
    fields = checked_fields(value, _STATE)
    pending = fields.pop("pending")
    return State(**fields, pending=None if pending is None else load_pending(pending, fields["topics"]))


def dump_topics(topics: Mapping[str, TopicState]) -> dict[str, Any]:
    return {n: {"id": t.id, "offsets": pack(t.offsets), "epochs": pack(t.epochs)} for n, t in topics.items()}


def load_topics(value: Any) -> dict[str, TopicState]:
    return {as_name(name): TopicState(**checked_fields(topic, _TOPIC)) for name, topic in as_mapping(value).items()}


def dump_pending(pending: Pending) -> dict[str, Any]:
    """Without the from offsets: they are the committed ones, always, and so 10,000 partitions fit."""
    until: dict[str, dict[int, int]] = {}
    for r in pending.ranges:
        until.setdefault(r.topic, {})[r.partition] = r.until_offset
    ref = pending.manifest and {name: getattr(pending.manifest, name) for name in _REF}
    return {"until": {topic: pack(offsets) for topic, offsets in until.items()}, "manifest": ref}


def load_pending(value: Any, cursor: Mapping[str, TopicState]) -> Pending:
    """`cursor`: the committed offsets, at which every range of the batch begins."""
    until, ref = fields_of(value, "until", "manifest")
    ranges = []
    for topic, runs in sorted(as_mapping(until).items()):
        committed = cursor[topic].offsets if topic in cursor else {}
        for partition, end in unpack(runs).items():
            if committed.get(partition, MAX_OFFSET) >= end:
                raise ValueError(f"pending {topic}-{partition} until {end} does not follow {committed.get(partition)}")
            ranges.append(OffsetRange(topic, partition, committed[partition], end))
    return Pending(tuple(ranges), None if ref is None else ManifestRef(**checked_fields(ref, _REF)))


def dump_manifest(m: Manifest) -> dict[str, Any]:
    files = [[f.staged, f.final, f.length, f.crc32, f.count, f.bad] for f in m.files]
    forms = {"topics": dump_topics(m.topics), "ranges": [list(r) for r in m.ranges], "files": files}
    return {name: getattr(m, name) for name in _MANIFEST} | forms | {"schemas": dict(m.schemas)}


def load_manifest(value: Any) -> Manifest:
    fields = checked_fields(value, _MANIFEST)
    for r in fields["ranges"]:
        topic = fields["topics"].get(r.topic)
        if topic is None or topic.offsets.get(r.partition) != r.until_offset:
            raise ValueError(f"{r} does not end where the manifest's map of offsets goes on")
    return Manifest(**fields)


def load_ranges(value: Any) -> tuple[OffsetRange, ...]:
    found = tuple(_load_range(r) for r in as_list(value))
    if sorted({r.topic_partition for r in found}) != [r.topic_partition for r in found]:
        raise ValueError("the ranges are not sorted, or name a partition twice")
    return found


def load_files(value: Any) -> tuple[StagedFile, ...]:
    found = tuple(_load_file(f) for f in as_list(value))
    if len({f.staged for f in found}) < len(found) or len({f.final for f in found}) < len(found):
        raise ValueError("a staged or a final name stands twice")
    return found


def dump_marker(app: str) -> dict[str, Any]:
    return {"app": app}


def load_marker(value: Any) -> str:
    return as_name(fields_of(value, "app")[0])


def _load_owner(value: Any) -> Owner:
    host, pid, started, run_id = as_list(value, 4)
    return Owner(as_text(host), as_integer(pid), as_text(started), as_text(run_id))


def _load_range(value: Any) -> OffsetRange:
    topic, partition, from_offset, until_offset = as_list(value, 4)
    found = OffsetRange(as_name(topic), as_integer(partition), as_integer(from_offset), as_integer(until_offset))
    if found.size() <= 0:
        raise ValueError(f"{found} is empty")
    return found


def _load_file(value: Any) -> StagedFile:
    staged, final, length, crc32, count, bad = as_list(value, 6)
    sizes = as_integer(length), as_integer(crc32, 2**32 - 1), as_integer(count), as_integer(bad)
    return StagedFile(as_path(staged), as_path(final), *sizes)


def load_schemas(value: Any) -> dict[str, str]:
    """By table: a folder below the sink's root, "" for the root itself."""
    return {table and as_path(table): as_name(schema) for table, schema in as_mapping(value).items()}


LOGGED = (*GUARANTEES, TRANSACTIONAL_ONCE)


def as_guarantee(value: Any) -> str:
    if value not in LOGGED:
        raise ValueError(f"expected one of {', '.join(LOGGED)}, found {value!r:.80}")
    return str(value)


_TOPIC: Mapping[str, Load] = {"id": as_text, "offsets": unpack, "epochs": unpack}
_REF: Mapping[str, Load] = {"path": as_path, "sha256": as_name, "files": as_integer}
_STATE: Mapping[str, Load] = {
    "app": as_name,
    "generation": as_integer,
    "epoch": as_integer,
    "owner": _load_owner,
    "nonce": as_name,
    "seq": as_integer,
    "topics": load_topics,
    "pending": lambda value: value,  # needs the topics: load_state looks at it last
    "step": as_name,
    "time_ms": as_integer,
    "committed_ms": as_integer,
    "reason": as_text,
    "schemas": load_schemas,
    "losses": load_losses,
    "before": lambda value: None if value is None else load_topics(value),
}
_MANIFEST: Mapping[str, Load] = {
    "app": as_name,
    "generation": as_integer,
    "epoch": as_integer,
    "seq": as_integer,
    "ranges": load_ranges,
    "topics": load_topics,
    "files": load_files,
    "records": as_integer,
    "time_ms": as_integer,
    "schemas": load_schemas,
    "guarantee": as_guarantee,
}
