"""The codec: round trips, and refusal of every byte that is not exactly what was written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offsets.codec import (
    decode_manifest,
    decode_marker,
    decode_state,
    digest,
    encode_manifest,
    encode_marker,
    encode_state,
)
from offsets.errors import ForeignStateError, StateDamagedError
from offsets.protocol import advance
from offsets.stores.base import MAX_STATE_BYTES
from offsets.structs import (
    GUARANTEES,
    Manifest,
    ManifestRef,
    OffsetRange,
    Owner,
    Pending,
    StagedFile,
    State,
    TopicState,
)

TOP = 2**63 - 1
OWNER = Owner("host", 7, "2026-11-21T00:00:00+00:00", "run")
SMALL = State(
    app="a1",
    generation=1,
    epoch=2,
    owner=OWNER,
    nonce="n",
    seq=3,
    topics={"t": TopicState("id", {0: 5, 1: 9, 4: 0})},
    pending=Pending(
        (OffsetRange("t", 0, 5, 8), OffsetRange("t", 4, 0, 1)), ManifestRef("_staging/2/3/m.json", "ab", 1)
    ),
    step="prepare",
    time_ms=10,
)
MANIFEST = Manifest(
    app="a1",
    generation=1,
    epoch=2,
    seq=3,
    ranges=(OffsetRange("t", 0, 5, 8),),
    topics={"t": TopicState("id", {0: 8, 1: 9})},
    files=(StagedFile("_staging/2/3/u", "out/t+0+5+8.json", 12, 2**32 - 1, 3, 1),),
    records=3,
    time_ms=10,
)

numbers = st.integers(0, TOP)
texts = st.text(max_size=8)
names = st.text(min_size=1, max_size=8)
paths = st.lists(names.filter(lambda s: "/" not in s and s not in (".", "..")), min_size=1, max_size=3).map("/".join)
topic_maps = st.dictionaries(
    names,
    st.builds(
        TopicState,
        texts,
        st.dictionaries(st.integers(0, 9), st.integers(0, TOP - 5), max_size=6),
        st.dictionaries(st.integers(0, 9), st.integers(0, 2**31 - 1), max_size=6),
    ),
    max_size=3,
)

schema_maps = st.dictionaries(st.just("") | paths, names, max_size=3)


@st.composite
def ranges_from(draw: st.DrawFn, topics: dict[str, TopicState]) -> tuple[OffsetRange, ...]:
    """Ranges that begin at the offsets of some of the partitions."""
    places = [(t, p, offset) for t, topic in sorted(topics.items()) for p, offset in sorted(topic.offsets.items())]
    return tuple(
        OffsetRange(t, p, offset, offset + draw(st.integers(1, 5))) for t, p, offset in places if draw(st.booleans())
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    topics = draw(topic_maps)
    ref = st.none() | st.builds(ManifestRef, paths, names, numbers)
    return State(
        app=draw(names),
        generation=draw(numbers),
        epoch=draw(numbers),
        owner=Owner(draw(texts), draw(numbers), draw(texts), draw(texts)),
        nonce=draw(names),
        seq=draw(numbers),
        topics=topics,
        pending=draw(st.none() | st.builds(Pending, ranges_from(topics), ref)),
        step=draw(names),
        time_ms=draw(numbers),
        committed_ms=draw(numbers),
        reason=draw(texts),
        schemas=draw(schema_maps),
        before=draw(st.none() | topic_maps),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    before = draw(topic_maps)
    ranges = draw(ranges_from(before))
    sizes = st.tuples(numbers, st.integers(0, 2**32 - 1), numbers, numbers)
    staged = draw(st.lists(st.tuples(paths, paths, sizes), max_size=4, unique_by=(lambda f: f[0], lambda f: f[1])))
    files = tuple(StagedFile(a, b, *numbers) for a, b, numbers in staged)
    stamp, records = draw(numbers), draw(numbers)
    topics, schemas = advance(before, ranges), draw(schema_maps)
    guarantee = draw(st.sampled_from(GUARANTEES))
    return Manifest(draw(names), 0, 1, draw(numbers), ranges, topics, files, records, stamp, schemas, guarantee)


@given(states())
def test_state_round_trip(state: State) -> None:
    """A state is read back as it was written, whatever is in its texts."""
    assert decode_state(encode_state(state)) == state


@given(manifests())
def test_manifest_round_trip(manifest: Manifest) -> None:
    """A manifest is read back as it was written."""
    assert decode_manifest(encode_manifest(manifest)) == manifest


@given(names)
def test_marker_round_trip(app: str) -> None:
    """A marker is read back as it was written."""
    assert decode_marker(encode_marker(app)) == app


@given(states())
@settings(max_examples=30)
def test_same_state_same_bytes(state: State) -> None:
    """Equal states have equal bytes, whatever the order of their maps: a store compares bytes."""
    turned = {
        name: replace(topic, offsets=dict(reversed(list(topic.offsets.items()))))
        for name, topic in reversed(list(state.topics.items()))
    }
    assert encode_state(replace(state, topics=turned)) == encode_state(state)


CODED = [
    pytest.param(encode_state(SMALL), decode_state, id="state"),
    pytest.param(encode_manifest(MANIFEST), decode_manifest, id="manifest"),
    pytest.param(encode_marker("a1"), decode_marker, id="marker"),
]


@pytest.mark.parametrize(("data", "decode"), CODED)
def test_every_flip_is_refused(data, decode) -> None:
    """No byte can be replaced by any other without being noticed."""
    for place, old in enumerate(data):
        for new in {old ^ bit for bit in (1, 2, 4, 8, 16, 32, 64, 128, 255)} | {0, ord(" "), ord("\n"), ord('"')} - {
            old
        }:
            with pytest.raises(StateDamagedError):
                decode(data[:place] + bytes([new]) + data[place + 1 :])


@pytest.mark.parametrize(("data", "decode"), CODED)
def test_every_truncation_and_addition_is_refused(data, decode) -> None:
    """Cut off anywhere, or with anything behind it, the bytes are refused."""
    wrong = [data[:length] for length in range(len(data))] + [data + extra for extra in (b"\n", b" ", b"\0", data)]
    for each in wrong:
        with pytest.raises(StateDamagedError):
            decode(each)


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b'{"format":' + tail))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    """Whatever is not ours raises StateDamagedError and no other error."""
    for decode in (decode_state, decode_manifest, decode_marker):
        with pytest.raises(StateDamagedError):
            decode(data)


def test_error_names_place_finding_and_remedy() -> None:
    """The message says where and what was found, the remedy is a command with the job's name."""
    with pytest.raises(StateDamagedError, match="file:///x is damaged") as caught:
        decode_state(encode_state(SMALL)[:-1], "file:///x", "orders.cfg")
    assert "run_stream.py orders.cfg --recover register" in caught.value.remedy
    assert caught.value.exit_status == 3


def enveloped(kind: str, body: bytes, version: object = 1) -> bytes:
    header = {"format": version, "kind": kind, "sha256": digest(body)}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def test_newer_format_is_foreign() -> None:
    """A newer program's register is refused with the advice to upgrade, and is no candidate for a repair."""
    with pytest.raises(ForeignStateError, match="format 2, this program reads up to 1") as caught:
        decode_state(enveloped("state", b"{}", 2))
    assert "install the version" in caught.value.remedy


@pytest.mark.parametrize("data", [b"hello", b'{"offset": 3}', b"\0\0", b'{"version":1}'])
def test_another_programs_bytes_are_foreign(data: bytes) -> None:
    """What does not begin as ours does is told from what is ours and damaged."""
    with pytest.raises(ForeignStateError, match="not written by this program"):
        decode_state(data)


def test_damaged_is_not_foreign() -> None:
    """An empty, cut off or flipped register of ours may be rebuilt."""
    data = encode_state(SMALL)
    for wrong in (b"", data[:5], data[:-3], data[:-1] + b"X"):
        with pytest.raises(StateDamagedError) as caught:
            decode_state(wrong)
        assert not isinstance(caught.value, ForeignStateError)


def test_another_kind_is_foreign() -> None:
    """A manifest where the register should be is named as what it is."""
    with pytest.raises(ForeignStateError, match="holds a manifest, not a state"):
        decode_state(encode_manifest(MANIFEST))


def changed_body(data: bytes, change) -> bytes:
    header, _, body = data.partition(b"\n")
    content = json.loads(body)
    change(content)
    return enveloped(json.loads(header)["kind"], json.dumps(content).encode())


def with_offsets(content, runs) -> None:
    content["topics"]["t"]["offsets"], content["pending"] = runs, None


WRONG_STATES = {
    "bool is no integer": lambda c: c.update(epoch=True),
    "float is no integer": lambda c: c.update(epoch=1.0),
    "negative epoch": lambda c: c.update(epoch=-1),
    "integer past 64 bits": lambda c: c.update(seq=TOP + 1),
    "text for a number": lambda c: c.update(seq="3"),
    "number for a text": lambda c: c.update(nonce=3),
    "no nonce": lambda c: c.update(nonce=""),
    "field missing": lambda c: c.pop("reason"),
    "field unknown": lambda c: c.update(more=1),
    "negative offset": lambda c: with_offsets(c, [[0, -1]]),
    "bool offset": lambda c: with_offsets(c, [[0, True]]),
    "null offset": lambda c: with_offsets(c, [[0, None]]),
    "partitions out of order": lambda c: with_offsets(c, [[3, 1], [0, 1]]),
    "partition twice": lambda c: with_offsets(c, [[0, 1, 2], [1, 1]]),
    "empty run": lambda c: with_offsets(c, [[]]),
    "run without offsets": lambda c: with_offsets(c, [[0]]),
    "topic without id": lambda c: c["topics"]["t"].pop("id"),
    "topics a list": lambda c: c.update(topics=[]),
    "pending of an unknown topic": lambda c: c["pending"].update(until={"u": [[0, 9]]}),
    "pending of an unknown partition": lambda c: c["pending"].update(until={"t": [[3, 9]]}),
    "pending that ends where it begins": lambda c: c["pending"].update(until={"t": [[0, 5]]}),
    "pending that goes back": lambda c: c["pending"].update(until={"t": [[0, 4]]}),
    "pending a list": lambda c: c.update(pending=[]),
    "manifest above the root": lambda c: c["pending"]["manifest"].update(path="../m.json"),
    "owner cut off": lambda c: c["owner"].pop(),
}
WRONG_MANIFESTS = {
    "absolute final name": lambda c: c["files"][0].__setitem__(1, "/etc/x"),
    "final name above the root": lambda c: c["files"][0].__setitem__(1, "a/../../x"),
    "checksum past 32 bits": lambda c: c["files"][0].__setitem__(3, 2**32),
    "file cut off": lambda c: c["files"][0].pop(),
    "final name twice": lambda c: c["files"].append(["_staging/other", *c["files"][0][1:]]),
    "staged name twice": lambda c: c["files"].append([c["files"][0][0], "other", 1, 1, 1, 0]),
    "range twice": lambda c: c["ranges"].append(c["ranges"][0]),
    "empty range": lambda c: c.update(ranges=[["t", 0, 8, 8]]),
    "range that the map does not know": lambda c: c.update(ranges=[["t", 0, 5, 7]]),
    "range of an unknown topic": lambda c: c.update(ranges=[["u", 0, 5, 8]]),
}


@pytest.mark.parametrize("change", WRONG_STATES.values(), ids=WRONG_STATES.keys())
def test_wrong_state_under_a_right_checksum_is_refused(change) -> None:
    """A checksum is not enough: every field has its type and its range, and parts agree."""
    with pytest.raises(StateDamagedError, match="right checksum over a wrong content"):
        decode_state(changed_body(encode_state(SMALL), change))


@pytest.mark.parametrize("change", WRONG_MANIFESTS.values(), ids=WRONG_MANIFESTS.keys())
def test_wrong_manifest_under_a_right_checksum_is_refused(change) -> None:
    """Nothing is moved by a manifest that contradicts itself or points outside the sink."""
    with pytest.raises(StateDamagedError, match="right checksum over a wrong content"):
        decode_manifest(changed_body(encode_manifest(MANIFEST), change))


@pytest.mark.parametrize(
    "body", [b'{"app":"a","app":"b"}', b"[" * 100_000, b'{"app":NaN}', b"\xff", b"1" * 5000, b"", b"null"]
)
def test_strange_json_under_a_right_checksum_is_refused(body: bytes) -> None:
    """Duplicate keys, deep nesting, non-numbers, other encodings and giant numbers raise StateDamagedError too."""
    with pytest.raises(StateDamagedError, match="wrong content"):
        decode_marker(enveloped("marker", body))


@pytest.mark.parametrize(
    "state",
    [
        replace(SMALL, epoch=True),
        replace(SMALL, seq=-1),
        replace(SMALL, topics={"t": TopicState("id", {0: TOP + 1})}),
        replace(SMALL, pending=Pending((OffsetRange("t", 0, 4, 8),), None)),
        replace(SMALL, pending=Pending((OffsetRange("t", 4, 0, 1), OffsetRange("t", 0, 5, 8)), None)),
    ],
)
def test_what_cannot_be_read_back_is_not_written(state: State) -> None:
    """A register that a launch could not read is never produced in the first place."""
    with pytest.raises(ValueError, match=r"expected|follow|read back"):
        encode_state(state)


@pytest.mark.parametrize("offset", [10**10, 10**15, TOP - 10**6])
def test_size_of_ten_thousand_partitions_with_a_batch(offset: int) -> None:
    """10,000 partitions, all of them pending, fit in 9/10 of the limit at any offset; at usual ones in 6/10."""
    offsets, epochs = {p: offset + 7 * p for p in range(10_000)}, dict.fromkeys(range(10_000), 1000)
    ranges = tuple(OffsetRange("transactions", p, o, o + 10_000) for p, o in offsets.items())
    state = replace(SMALL, topics={"transactions": TopicState("id", offsets, epochs)}, pending=Pending(ranges, None))
    assert len(encode_state(state)) < MAX_STATE_BYTES * (0.6 if offset == 10**10 else 0.9)


def test_size_of_twenty_thousand_partitions() -> None:
    """20,000 partitions without a batch, whose leaders have changed a thousand times, fit in 3/4 of the limit."""
    epochs = dict.fromkeys(range(200), 1000)
    topics = {f"topic{t}": TopicState("id", {p: 10**10 + p for p in range(200)}, epochs) for t in range(100)}
    assert len(encode_state(replace(SMALL, topics=topics, pending=None))) < MAX_STATE_BYTES * 0.75


@pytest.mark.parametrize("guarantee", ["twice", "", None, 1])
def test_a_manifest_of_an_unknown_guarantee(guarantee: object) -> None:
    """Is not written, and not read."""
    with pytest.raises(ValueError, match="expected one of exactly-once, at-least-once, at-most-once"):
        encode_manifest(replace(MANIFEST, guarantee=guarantee))  # type: ignore[arg-type]
