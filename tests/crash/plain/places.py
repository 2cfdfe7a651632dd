"""Plain listing, reading and moving below a `file:` or `webhdfs:` URL, with nothing of the product's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests
from hdfs import HdfsError, InsecureClient

from tests.crash.plain.faults import owner

DATA = re.compile(r"(?:[^_./][^/]*/)*[^_./][^/]*\Z")  # no component of it begins with _ or .
CONSUMED = "_consumed"  # where a consumer moves files to; ignored by everything of ours, and on the same disk


def client(namenode: str) -> InsecureClient:
    """For threads beside pytest's, which changes the environment at each test: requests would read it each time."""
    session = requests.Session()
    session.trust_env = False
    return InsecureClient(f"http://{namenode}", user=owner(), timeout=60, session=session)


class Folder:
    """The folder of one URL; names are relative to it."""

    def __init__(self, url: str) -> None:
        self.url, parts = url, urlsplit(url)
        self._root = parts.path.rstrip("/")
        self._hdfs = client(parts.netloc) if parts.netloc else None

    def make(self) -> Folder:
        if self._hdfs:
            self._hdfs.makedirs(self._root)
        else:
            os.makedirs(self._root, exist_ok=True)
        return self

    def names(self) -> list[str]:
        """Of all files below it."""
        return sorted(self._walk_hdfs() if self._hdfs else self._walk_local())

    def _walk_local(self) -> Iterator[str]:
        for path in Path(self._root).rglob("*"):
            if path.is_file():
                yield str(path.relative_to(self._root))

    def _walk_hdfs(self) -> Iterator[str]:
        assert self._hdfs is not None
        with suppress(HdfsError):  # a folder that goes away while it is listed
            for folder, _, files in self._hdfs.walk(self._root, ignore_missing=True):
                yield from (f"{folder}/{name}"[len(self._root) + 1 :] for name in files)

    def read(self, name: str) -> bytes:
        if self._hdfs is None:
            return Path(self._root, name).read_bytes()
        with self._hdfs.read(f"{self._root}/{name}") as reader:
            content: bytes = reader.read()
        return content

    def contents(self, names: list[str]) -> dict[str, bytes]:
        return {name: self.read(name) for name in names}

    def consume(self) -> None:
        """What a consumer does that moves every file away that it sees."""
        for name in filter(DATA.match, self.names()):
            self.move(name, f"{CONSUMED}/{name.replace('/', '!')}")

    def move(self, source: str, target: str) -> None:
        """Never over another file: that would hide that a name has come back."""
        old, new = f"{self._root}/{source}", f"{self._root}/{target}"
        while new and self._taken(new):
            new += "!again"
        if self._hdfs:
            self._hdfs.makedirs(os.path.dirname(new))
            self._hdfs.rename(old, new)
        else:
            os.makedirs(os.path.dirname(new), exist_ok=True)
            os.rename(old, new)

    def _taken(self, path: str) -> bool:
        if self._hdfs is None:
            return os.path.exists(path)
        return self._hdfs.status(path, strict=False) is not None
