"""Offsets out of a register, or out of a plan, into a file that --from-file reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from offsets.errors import StreamError
from offsets.reset import Move, Topics
from offsets.starting import Numbers
from streaming.config.scope import Scope, within
from streaming.resetting.asking import STANDARD
from streaming.resetting.files import csv_text, json_text


def planned_offsets(moves: Iterable[Move]) -> Numbers:
    """Where the moves lead; partitions that are dropped are left out."""
    offsets: dict[str, dict[int, int]] = {}
    for move in moves:
        if move.new is not None:
            offsets.setdefault(move.topic, {})[move.partition] = move.new
    return offsets


def current_offsets(topics: Topics, scope: Scope | None) -> Numbers:
    """The register's.  Raises ConfigError for what it does not have."""
    existing = {name: topic.offsets for name, topic in topics.items()}
    named = within(dict.fromkeys(topics) if scope is None else scope, existing)
    return {name: {p: topics[name].offsets[p] for p in partitions} for name, partitions in named.items()}


def export(offsets: Numbers, target: str, as_csv: bool = False) -> None:
    """Replaces the file whole, or writes to stdout.  CSV by the name's end, or if `as_csv`.  Raises StreamError."""
    text = csv_text(offsets) if as_csv or target.endswith(".csv") else json_text(offsets)
    if target == STANDARD:
        sys.stdout.write(text)
        return
    path = Path(target)
    try:
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except (OSError, ValueError) as e:  # a path without a name
        raise StreamError(f"--export {target}: {e}", "name a file that can be written") from None
