"""What a skip's losses look like as JSON values, in the register and in the sink's record; checked like `json_forms`.

Packed like the register's offsets: the losses of ten thousand partitions still fit into it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from offsets.json_values import (
    Load,
    as_integer,
    as_list,
    as_mapping,
    as_name,
    checked_fields,
    pack,
    unpack,
)
from offsets.structs import LossRecord, LostRange


def dump_losses(losses: Iterable[LostRange]) -> dict[str, Any]:
    """{kind: {topic: [first offsets, ends]}}, both packed."""
    spans: dict[str, dict[str, tuple[dict[int, int], dict[int, int]]]] = {}
    for loss in losses:
        first, until = spans.setdefault(loss.kind, {}).setdefault(loss.topic, ({}, {}))
        first[loss.partition], until[loss.partition] = loss.from_offset, loss.until_offset
    return {kind: {t: [pack(first), pack(until)] for t, (first, until) in of.items()} for kind, of in spans.items()}


def load_losses(value: Any) -> tuple[LostRange, ...]:
    found = [
        LostRange(as_name(kind), as_name(topic), *span)
        for kind, topics in as_mapping(value).items()
        for topic, packed in as_mapping(topics).items()
        for span in _spans(packed)
    ]
    if len({loss.topic_partition for loss in found}) < len(found):
        raise ValueError("a partition is lost twice")
    return tuple(sorted(found, key=lambda loss: loss.topic_partition))


def dump_loss_record(record: LossRecord) -> dict[str, Any]:
    return {"app": record.app, "generation": record.generation, "losses": dump_losses(record.losses)}


def load_loss_record(value: Any) -> LossRecord:
    return LossRecord(**checked_fields(value, _RECORD))


def _spans(packed: Any) -> Iterable[tuple[int, int, int]]:
    first, until = map(unpack, as_list(packed, 2))
    if first.keys() != until.keys() or any(until[p] < offset for p, offset in first.items()):
        raise ValueError(f"losses do not end behind where they begin: {packed!r:.80}")
    return [(p, offset, until[p]) for p, offset in first.items()]


_RECORD: Mapping[str, Load] = {"app": as_name, "generation": as_integer, "losses": load_losses}
