"""A function that takes bytes, as the file object that libraries write to."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any


class ByteFile(io.RawIOBase):
    """Write-only.  Closing it closes nothing."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._take = write

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._take(data if type(data) is bytes else bytes(data))
        return len(data)
