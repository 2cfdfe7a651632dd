"""Which published files stand twice once a new generation has begun further back.  Driver only; only reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from offsets import codec
from offsets.errors import StreamError
from offsets.filesystems import Filesystem
from offsets.reset import Topics
from offsets.structs import Manifest, OffsetRange
from streaming.resetting.values import Doubled
from streaming.sinks.batch_log import logged_numbers
from streaming.sinks.names import BATCHES, batch_entry, encoded_topic, parse_final_name
from streaming.sinks.notes import numbered

ENTRIES = 1000  # of the batch log that are looked at
NAMED = 20


def doubled_by(old: Topics, new: Topics, sink: Filesystem | None) -> tuple[Doubled, tuple[str, ...]]:
    """Of a reset from `old` to `new`, and what to note of it.  Never raises: the reset stands, whatever a sink says."""
    ranges = rewound(old, new)
    if sink is None:
        unseen = "no sink is named: which published files stand twice is not known"
        return Doubled(complete=False), (unseen,) if ranges else ()
    try:
        return find_doubled(sink, ranges), ()
    except (StreamError, OSError) as e:
        return Doubled(complete=False), (f"which published files stand twice is not known: {e}",)


def rewound(old: Topics, new: Topics) -> list[OffsetRange]:
    """What is read again, by partition.  Of a topic with another id nothing: its records are others."""
    return [
        OffsetRange(name, partition, topic.offsets[partition], offset)
        for name, topic in sorted(new.items())
        if name in old and old[name].id == topic.id
        for partition, offset in sorted(old[name].offsets.items())
        if topic.offsets.get(partition, offset) < offset
    ]


def find_doubled(filesystem: Filesystem, ranges: list[OffsetRange], entries: int = ENTRIES) -> Doubled:
    """The files with records of `ranges`, as far as the newest `entries` batches of the log tell."""
    if not ranges:
        return Doubled()
    files, count, oldest, log = list[str](), 0, 0, newest_entries(filesystem)
    for manifest in islice(log, entries):  # one at a time: a batch of 10,000 partitions has as many files
        found = list(doubled_files(manifest, ranges))
        count, oldest = count + len(found), manifest.seq
        files += found[: NAMED - len(files)]
    return Doubled(tuple(files), count, complete=oldest == 0 and next(log, None) is None)


def newest_entries(filesystem: Filesystem) -> Iterator[Manifest]:
    """The batch log from its end, all generations."""
    for generation in reversed(numbered(filesystem, BATCHES)):
        for number in reversed(logged_numbers(filesystem, int(generation))):
            path = batch_entry(int(generation), number)
            yield codec.decode_manifest(filesystem.read(path), f"{filesystem.url}/{path}")


def doubled_files(manifest: Manifest, ranges: list[OffsetRange]) -> Iterator[str]:
    """Final names of the batch's files that hold offsets of `ranges`, or may."""
    spans = {(encoded_topic(r.topic), r.partition): r for r in ranges}
    for file in manifest.files:
        name = parse_final_name(file.final.rpartition("/")[2])
        span = spans.get((name.topic, name.partition)) if name else None
        if name and span and name.from_offset < span.until_offset and span.from_offset < name.until_offset:
            yield file.final
