"""One JSON value at a time: it is of exactly the type and range that is expected, or ValueError says what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MAX_OFFSET = 2**63 - 1  # Kafka's own: a signed 64-bit integer
Load = Callable[[Any], Any]


def as_mapping(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError(f"expected an object, found {value!r:.80}")
    return value


def as_list(value: Any, length: int | None = None) -> list[Any]:
    if type(value) is not list or (length is not None and len(value) != length):
        raise ValueError(f"expected a list{'' if length is None else f' of {length}'}, found {value!r:.80}")
    return value


def as_integer(value: Any, most: int = MAX_OFFSET) -> int:
    if type(value) is not int or not 0 <= value <= most:  # bool is an int to isinstance
        raise ValueError(f"expected an integer from 0 to {most}, found {value!r:.80}")
    return value


def as_text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"expected a string, found {value!r:.80}")
    return value


def as_name(value: Any) -> str:
    if not as_text(value):
        raise ValueError("expected a name, found an empty string")
    return str(value)


def as_path(value: Any) -> str:
    """Relative to the sink's root and never above it: what a manifest names is moved."""
    if any(part in ("", ".", "..") for part in as_text(value).split("/")):
        raise ValueError(f"expected a path inside the sink, found {value!r:.200}")
    return str(value)


def fields_of(value: Any, *names: str) -> list[Any]:
    """The values of exactly these fields, in this order."""
    found = as_mapping(value)
    if found.keys() != set(names):
        raise ValueError(f"expected the fields {sorted(names)}, found {sorted(found)!r:.200}")
    return [found[name] for name in names]


def checked_fields(value: Any, form: Mapping[str, Load]) -> dict[str, Any]:
    """An object of exactly the form's fields, each as its load makes it."""
    values = fields_of(value, *form)
    return {name: load(found) for (name, load), found in zip(form.items(), values, strict=True)}


def pack(offsets: Mapping[int, int]) -> list[list[int]]:
    """[[first partition, its offset, the next partition's, ...], ...]: little more than the offsets' own digits."""
    runs: list[list[int]] = []
    following = None
    for partition, offset in sorted(offsets.items()):
        if partition != following:
            runs.append([partition])
        runs[-1].append(offset)
        following = partition + 1
    return runs


def unpack(value: Any) -> dict[int, int]:
    offsets: dict[int, int] = {}
    following = 0
    for run in as_list(value):
        first, *values = map(as_integer, as_list(run) or [0])
        if first < following or not values:
            raise ValueError(f"partitions from {first} on are missing, or not in order")
        following = first + len(values)
        offsets.update(zip(range(first, following), values, strict=True))
    return offsets
