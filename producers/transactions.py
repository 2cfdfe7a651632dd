"""Bank transactions as lines `step,MM/dd/yyyy,account,amount,description`, well-formed and malformed.

Pure: the same seed gives the same lines on any machine; nothing here knows Kafka or a clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

DEFAULT_SERVERS = "localhost:9092"
DEFAULT_TOPIC = "transactions"

ACCOUNTS = ("000000123456", "000000234567", "000000345678", "000000456789")
DESCRIPTIONS = ("GROCERIES", "RENT", "SALARY", "FUEL", "RESTAURANT", "PHARMACY", "ELECTRICITY", "CASH WITHDRAWAL")
AMOUNTS = ("-1250.00", "-310.75", "-84.10", "-42.42", "-9.99", "15.00", "120.50", "2840.00")
FIRST_DAY, DAYS = date(2026, 11, 20), 4
FIXED_COUNT = 100


class Line(NamedTuple):
    """One record's value, and whether it is malformed on purpose."""

    value: bytes
    malformed: bool


def random_lines(count: int, seed: int, malformed: float = 0.0) -> Iterator[Line]:
    """`count` lines; each is malformed with probability `malformed` (0 to 1).  Steps run from 1, over DAYS days."""
    if not 0 <= malformed <= 1:
        raise ValueError(f"the share of malformed lines is between 0 and 1, not {malformed}")
    rng = random.Random(seed)
    pick, chance = rng.choice, rng.random
    for step in range(1, count + 1):
        fields = [str(step), _day(step, count), pick(ACCOUNTS), pick(AMOUNTS), pick(DESCRIPTIONS)]
        if chance() < malformed:
            yield Line(pick(_MISTAKES)(fields), True)
        else:
            yield Line(",".join(fields).encode(), False)


def fixed_lines() -> Iterator[Line]:
    """The same FIXED_COUNT well-formed lines every time; every account, amount, description and day occurs."""
    for step in range(1, FIXED_COUNT + 1):
        account, amount = ACCOUNTS[step % len(ACCOUNTS)], AMOUNTS[step % len(AMOUNTS)]
        description = DESCRIPTIONS[step // 3 % len(DESCRIPTIONS)]
        yield Line(",".join((str(step), _day(step, FIXED_COUNT), account, amount, description)).encode(), False)


def _day(step: int, count: int) -> str:
    return _DAYS[(step - 1) * DAYS // count]


_DAYS = tuple((FIRST_DAY + timedelta(days=n)).strftime("%m/%d/%Y") for n in range(DAYS))


def _without_a_field(fields: list[str]) -> bytes:
    return ",".join(fields[:-1]).encode()


def _with_a_bad_date(fields: list[str]) -> bytes:
    return ",".join([fields[0], "13/45/2026", *fields[2:]]).encode()


def _with_a_bad_amount(fields: list[str]) -> bytes:
    return ",".join([*fields[:3], "12.3.4", fields[4]]).encode()


def _empty(_fields: list[str]) -> bytes:
    return b""


def _garbage(fields: list[str]) -> bytes:
    """Bytes that are not UTF-8 under any reading, with the step in them."""
    return b"\xff\xfe\x00" + fields[0].encode() + b"\xc3\x28"


_MISTAKES: tuple[Callable[[list[str]], bytes], ...] = (
    _without_a_field,
    _with_a_bad_date,
    _with_a_bad_amount,
    _empty,
    _garbage,
)
