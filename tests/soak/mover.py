"""A consumer of the lake that moves every published file away at once, so that a late rename would show as a double."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from hdfs import Client, HdfsError
from requests import RequestException

from tests.crash.reader import Lake

LOOK_SECONDS = 0.3


class Mover(threading.Thread):
    """Moves what `lake` lists by `move`, until `finish`; `lengths`: of every file when it was first seen."""

    def __init__(self, lake: Lake, move: Callable[[str], None]) -> None:
        super().__init__(name="mover", daemon=True)
        self.lake, self.lengths = lake, dict[str, int]()
        self._move, self._over = move, threading.Event()

    def run(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._sweep()
            except (RequestException, HdfsError, OSError):
                continue  # no lake yet, or a server that is down: it is looked at again

    def _sweep(self) -> None:
        for name, length in list(self.lake.list()):
            self.lengths.setdefault(name, length)
            self._move(name)

    def finish(self) -> None:
        """Stops; what is not moved yet stays."""
        self._over.set()
        self.join()


def move_on_disk(lake: Path, taken: Path) -> Callable[[str], None]:
    def move(name: str) -> None:
        (taken / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(lake / name, taken / name)  # refuses a name that was there before
        (lake / name).unlink()

    return move


def move_in_hdfs(client: Client, lake: str, taken: str) -> Callable[[str], None]:
    made = set[str]()

    def move(name: str) -> None:
        folder = f"{taken}/{name}".rpartition("/")[0]
        if folder not in made:
            client.makedirs(folder)
            made.add(folder)
        client.rename(f"{lake}/{name}", f"{taken}/{name}")

    return move
