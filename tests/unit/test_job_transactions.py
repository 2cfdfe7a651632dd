"""The demo's ETL: a line is a transaction or says why not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from streaming.jobs.transactions import SimpleTransaction, UnparsableTransaction, parse
from streaming.records import Record


def record(value: bytes | None) -> Record:
    return Record("tx", 3, 42, 0, 0, None, value, ())


def test_a_good_line_goes_to_its_day() -> None:
    """A parsed transaction is routed by its date and carries the record's place as id."""
    routed = parse(record(b"7,11/20/2026,ACC1,19.90,coffee"))
    assert (routed.folder, routed.bad) == ("transactions/dt=2026-11-20", False)
    assert routed.row == SimpleTransaction("tx-3-42", "ACC1", Decimal("19.90"), date(2026, 11, 20), "coffee")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "1 fields"),
        (None, "1 fields"),
        (b"7,11/20/2026,ACC1,19.90", "4 fields"),
        (b"7,20/11/2026,ACC1,19.90,coffee", "does not match format"),
        (b"7,11/20/2026,ACC1,much,coffee", "no number"),
        (b"7,11/20/2026,ACC1,NaN,coffee", "not finite"),
        (b"x,11/20/2026,ACC1,1,coffee", "step"),
        (b"7,11/20/2026,,1,coffee", "no account"),
        (b"\xff\xfe", "1 fields"),
    ],
)
def test_a_bad_line_is_kept_with_the_reason(line: bytes | None, why: str) -> None:
    """Nothing is dropped: a line that is no transaction becomes an UnparsableTransaction, marked bad."""
    routed = parse(record(line))
    assert (routed.folder, routed.bad) == ("unparsable", True)
    assert isinstance(routed.row, UnparsableTransaction)
    assert why in routed.row.error
