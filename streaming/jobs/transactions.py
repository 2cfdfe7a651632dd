"""ETL of bank transactions: lines `step,MM/dd/yyyy,account,amount,description` become SimpleTransactions.

What cannot be parsed is kept as an UnparsableTransaction in a folder of its own, published with the same batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from streaming.records import Record
from streaming.rows import Routed

PARSED, UNPARSABLE = "transactions", "unparsable"
FIELDS = 5


@dataclass(frozen=True)
class SimpleTransaction:
    """``id`` is where the record lies in Kafka: topic-partition-offset."""

    id: str
    account_number: str
    amount: Decimal
    date: date
    description: str


@dataclass(frozen=True)
class UnparsableTransaction:
    """The line as it came (bytes that are no UTF-8 are escaped), and why it is no transaction."""

    id: str
    line: str
    error: str


def parse(record: Record) -> Routed:
    """A record as a row: `transactions/dt=YYYY-MM-DD/` or, marked as bad, `unparsable/`."""
    id_ = f"{record.topic}-{record.partition}-{record.offset}"
    line = (record.value or b"").decode("utf-8", "backslashreplace")
    try:
        transaction = parse_line(id_, line)
    except ValueError as e:
        return Routed(UNPARSABLE, UnparsableTransaction(id_, line, str(e)), bad=True)
    return Routed(f"{PARSED}/dt={transaction.date.isoformat()}", transaction)


def parse_line(id_: str, line: str) -> SimpleTransaction:
    """Raises ValueError that says which field is wrong."""
    fields = line.split(",")
    if len(fields) != FIELDS:
        raise ValueError(f"{len(fields)} fields, not {FIELDS}")
    step, day, account, amount, description = fields
    if not step.isdecimal() or not account:
        raise ValueError("step is no number" if account else "no account")
    return SimpleTransaction(id_, account, parse_amount(amount), datetime.strptime(day, "%m/%d/%Y").date(), description)


def parse_amount(text: str) -> Decimal:
    """A finite decimal number."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"amount {text!r} is no number") from None
    if not amount.is_finite():
        raise ValueError(f"amount {text!r} is not finite")
    return amount
