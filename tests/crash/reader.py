"""A reader of the lake that looks all the time: no published file may ever be short, change or disappear."""

from __future__ import annotations

import random
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from hdfs import HdfsError, InsecureClient
from requests import RequestException

Listing = Callable[[], Iterator[tuple[str, int]]]  # name, length
REREAD = 5  # files seen before that are opened again at each look


class Lake:
    """Plain listing and reading below a `file:` or `webhdfs:` URL, with nothing of the project's."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self._local = Path(rest) if scheme == "file" else None
        host, _, path = rest.partition("/")
        self._root = f"/{path}"
        self._client = InsecureClient(f"http://{host}", timeout=10)

    def list(self) -> Iterator[tuple[str, int]]:
        yield from self._list_local(self._local) if self._local else self._list_hdfs()

    def _list_local(self, root: Path) -> Iterator[tuple[str, int]]:
        for path in root.rglob("*"):
            name = str(path.relative_to(root))
            if not any(part[0] in "_." for part in name.split("/")) and path.is_file():
                yield name, path.stat().st_size

    def _list_hdfs(self) -> Iterator[tuple[str, int]]:
        for (folder, _), folders, files in self._client.walk(self._root, status=True):
            folders[:] = [(n, s) for n, s in folders if n[0] not in "_."]
            inside = folder[len(self._root) :].strip("/")
            if not any(part[:1] in ("_", ".") for part in inside.split("/")):
                yield from ((f"{inside}/{n}".lstrip("/"), s["length"]) for n, s in files if n[0] not in "_.")

    def read(self, name: str) -> bytes:
        if self._local:
            return (self._local / name).read_bytes()
        with self._client.read(f"{self._root}/{name}") as reader:
            content: bytes = reader.read()
        return content


class Reader(threading.Thread):
    """Looks until `finish`; `wrong` collects what should never be seen."""

    def __init__(self, lake: Lake, seed: int) -> None:
        super().__init__(name="lake-reader", daemon=True)
        self.lake, self.wrong, self.looks = lake, list[str](), 0
        self._seen: dict[str, tuple[int, int]] = {}  # name: (length, crc)
        self._random, self._over = random.Random(seed), threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            try:
                self.look(REREAD)
            except (RequestException, HdfsError, FileNotFoundError):
                continue  # no root yet, or a server that the test has killed: nothing was seen

    def look(self, again: int) -> None:
        """One listing; opens every new file and `again` of the known ones."""
        listed = dict(self.lake.list())
        for name, length in listed.items():
            if name not in self._seen:
                self._seen[name] = self._measured(name)
            if length != self._seen[name][0]:
                self.wrong.append(f"{name}: {length} bytes listed, {self._seen[name][0]} read")
        for name in self._random.sample(sorted(self._seen), min(again, len(self._seen))):
            if name not in listed:
                self.wrong.append(f"{name} disappeared")
            elif self._measured(name) != self._seen[name]:
                self.wrong.append(f"{name} changed from {self._seen[name]} to {self._measured(name)}")
        self.looks += 1

    def _measured(self, name: str) -> tuple[int, int]:
        content = self.lake.read(name)
        if name.endswith((".json", ".txt")) and not content.endswith(b"\n"):
            self.wrong.append(f"{name} ends in the middle of a line")
        return len(content), zlib.crc32(content)

    def finish(self) -> int:
        """Stops, and opens every file once more.  How many there are."""
        self._over.set()
        self.join()
        self.look(len(self._seen))
        return len(self._seen)
