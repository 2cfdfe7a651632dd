"""Tables for people.  Ten thousand rows take half a second, where rich takes a quarter of a minute."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TextIO

from tabulate import tabulate


def print_rows(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], file: TextIO, left: Collection[str] = ("TOPIC",)
) -> None:
    """A head and a line a row, in a frame: "-" for None; the columns in `left` begin at the left, others end right."""
    told = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    aligned = ["left" if name in left else "right" for name in columns]
    file.write(tabulate(told, columns, "rounded_outline", colalign=aligned if told else None, disable_numparse=True))
    file.write("\n")
