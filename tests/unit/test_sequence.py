"""Which numbers a sequence has, and which of its transactions are committed: no Kafka."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.sequence import Sequence, number_of, transactions

counts = st.integers(1, 200)


@given(starts=st.dictionaries(st.integers(0, 9), st.integers(0, 10**9), min_size=1), records=counts)
def test_numbers_have_no_gap(starts: dict[int, int], records: int) -> None:
    """Each partition counts up by one from its start, and the partitions differ by one record at most."""
    numbers: dict[int, list[int]] = {p: [] for p in starts}
    for item in Sequence(starts).items(range(records)):
        numbers[item.partition].append(number_of(item.value, dict(item.headers)))
    assert all(n == list(range(starts[p], starts[p] + len(n))) for p, n in numbers.items())
    lengths = [len(n) for n in numbers.values()]
    assert sum(lengths) == records
    assert max(lengths) - min(lengths) <= 1


@given(records=counts, size=counts, abort_every=st.none() | st.integers(2, 5), leave_open=st.booleans())
def test_committed_transactions_have_every_turn_once(
    records: int, size: int, abort_every: int | None, leave_open: bool
) -> None:
    """An aborted one's turns come again in the next; every Kth is aborted; only the last may be left open."""
    all_of_them = list(transactions(records, size, abort_every, leave_open))
    committed = [turn for t in all_of_them if t.ending == "commit" for turn in t.turns]
    assert committed == list(range(records))
    assert all(len(t.turns) <= size for t in all_of_them)
    aborted = [n for n, t in enumerate(all_of_them, 1) if t.ending == "abort"]
    assert aborted == [n for n in range(1, len(all_of_them) - leave_open + 1) if abort_every and n % abort_every == 0]
    assert [n for n, t in enumerate(all_of_them, 1) if t.ending == "open"] == [len(all_of_them)] * leave_open


@given(share=st.floats(0, 1), start=st.integers(0, 10**6))
def test_tombstones_are_spread_evenly(share: float, start: int) -> None:
    """Any stretch of numbers has the share asked for, to one record; each still says its number."""
    items = list(Sequence({0: start}, tombstones=share).items(range(200)))
    assert sum(item.value is None for item in items) == pytest.approx(200 * share, abs=1)
    assert [number_of(item.value, dict(item.headers)) for item in items] == list(range(start, start + 200))


def test_values() -> None:
    """As the manual shows them; padded to a size; marked if they must never be seen."""
    assert Sequence({3: 17}).item(0).value == b'{"partition": 3, "number": 17}'.replace(b": ", b":").replace(
        b", ", b","
    )
    assert Sequence({3: 17}).item(0, aborted=True).value == b'{"partition":3,"number":17,"aborted":true}'
    for size in (60, 190, 1000):
        value = Sequence({3: 17}, size=size).item(0).value
        assert value is not None
        assert (len(value), number_of(value, {})) == (size, 17)


def test_keys() -> None:
    """Every record its own key, or N keys that repeat."""
    assert [i.key for i in Sequence({0: 7}).items(range(3))] == [b"7", b"8", b"9"]
    assert [i.key for i in Sequence({0: 7}, keys=2).items(range(3))] == [b"1", b"0", b"1"]


@pytest.mark.parametrize("value", [b"x", b"[]", b"{}", b'{"number":"x"}', None])
def test_a_foreign_record(value: bytes | None) -> None:
    """A record of another kind has no number."""
    with pytest.raises(ValueError, match="no record of a sequence"):
        number_of(value, {})
