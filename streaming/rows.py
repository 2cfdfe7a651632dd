"""What a job's function may return for a record, beside a plain row."""

from __future__ import annotations

from typing import Any, NamedTuple


class Routed(NamedTuple):
    """A row for `sink.path`/`folder`/.  `bad`: it stands for a record that the function could not use."""

    folder: str
    row: Any
    bad: bool = False
