"""Files in HDFS over WebHDFS, through HdfsCLI.  No request is ever sent twice; errors are told by class, not by text.

HdfsCLI's own `rename` is not used (it moves into an existing directory), nor its asynchronous writer (it ends an upload
normally when the block that feeds it raises), nor `strict=False` (it takes every error for "no such file").
"""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import requests
import urllib3
from hdfs import HdfsError, InsecureClient

from offsets.errors import SinkError, UnavailableError
from offsets.filesystems.base import FileStatus, checked
from offsets.filesystems.webhdfs_errors import REACH, raise_for_error, translated

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0
SPOOL_BYTES = 1 << 20  # per open file in memory; the rest waits on the executor's disk


@dataclass(frozen=True)
class WebHdfsFilesystem:
    """`namenode`: http://host:port.  `root`: absolute directory.  Connects at the first request; safe in threads."""

    namenode: str
    root: str
    user: str
    parallelism: int = 8
    connect_seconds: float = CONNECT_SECONDS
    answer_seconds: float = ANSWER_SECONDS

    @property
    def url(self) -> str:
        return f"webhdfs://{self.namenode.removeprefix('http://')}{self.root}"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_session", "_client")}

    def create(self, path: str) -> WebHdfsWriter:
        self._at(path)
        return WebHdfsWriter(self, path)

    def upload(self, path: str, content: bytes | IO[bytes]) -> None:
        """One exclusive create.  FileExistsError if the name is taken; parents are made."""
        with self._errors(path):
            self._client.write(self._at(path), data=content, overwrite=False)

    def put(self, path: str, content: bytes) -> FileStatus:
        self.upload(path, content)
        if (found := self.status(path)) is None:
            raise FileNotFoundError(f"{self.url}: {self._at(path)} was deleted while it was written")
        return _whole(path, found, len(content))

    def claim(self, path: str) -> None:
        params = {"op": "CREATE", "overwrite": "false", "createparent": "false"}  # HdfsCLI always makes parents
        with self._errors(path):
            self._session.put(self._link(path), params=params, timeout=self._timeout)

    def touch(self, path: str) -> None:
        with self._errors(path):
            self._client.set_times(self._at(path), modification_time=time.time_ns() // 1_000_000)

    def rename_no_clobber(self, source: str, destination: str) -> None:
        params = {"op": "RENAME", "destination": self._at(destination), "renameoptions": "NONE"}
        with self._errors(destination):
            self._session.put(self._link(source), params=params, timeout=self._timeout)

    def status(self, path: str) -> FileStatus | None:
        try:
            with self._errors(path):
                found = self._client.status(self._at(path))
        except FileNotFoundError:
            return None
        return _status_of(path.rpartition("/")[2], found)

    def list(self, path: str, after: str = "") -> list[FileStatus]:
        try:
            with self._errors(path):
                if after:
                    return list(self._list_after(path, after))
                return [_status_of(name, found) for name, found in self._client.list(self._at(path), status=True)]
        except FileNotFoundError:
            return []

    def delete(self, path: str, recursive: bool = False) -> None:
        with self._errors(path):
            self._client.delete(self._at(path), recursive=recursive)

    def mkdirs(self, path: str) -> None:
        with self._errors(path):
            self._client.makedirs(self._at(path))

    def read(self, path: str) -> bytes:
        with self._errors(path), self._client.read(self._at(path)) as reader:
            content: bytes = reader.read()
            return content

    def _list_after(self, path: str, after: str) -> Iterator[FileStatus]:
        """Page by page (HdfsCLI does not know this operation)."""
        more = True
        while more:
            params = {"op": "LISTSTATUS_BATCH", "startAfter": after}
            answer = self._session.get(self._link(path), params=params, timeout=self._timeout)
            listing = answer.json()["DirectoryListing"]
            for found in listing["partialListing"]["FileStatuses"]["FileStatus"]:
                after = found["pathSuffix"]
                yield _status_of(after, found)
            more = listing["remainingEntries"] > 0

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()  # its adapters never retry, unless told to
        session.trust_env = False  # no proxy and no .netrc from wherever the executor happens to run
        session.params = {"user.name": self.user}
        session.hooks["response"].append(raise_for_error)
        return session

    @cached_property
    def _client(self) -> InsecureClient:
        return InsecureClient(self.namenode, user=self.user, timeout=self._timeout, session=self._session)

    @property
    def _timeout(self) -> tuple[float, float]:
        return self.connect_seconds, self.answer_seconds

    def _link(self, path: str) -> str:
        return f"{self.namenode}/webhdfs/v1{quote(self._at(path))}"

    def _at(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{checked(path)}".rstrip("/") or "/"

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except HdfsError as e:
            raise translated(e, f"{self.url}: {self._at(path)}") from e
        except (requests.RequestException, urllib3.exceptions.HTTPError) as e:
            why = type(e).__name__
            raise UnavailableError(f"no answer from {self.namenode} for {self._at(path)} ({why})", REACH) from e


class WebHdfsWriter:
    """A file that is spooled and sent whole by `close`: a writer whose feeder raised has sent nothing."""

    def __init__(self, filesystem: WebHdfsFilesystem, path: str) -> None:
        self._filesystem, self._path, self._written = filesystem, path, 0
        self._spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  closed by close() or abort()

    def write(self, data: bytes) -> None:
        try:
            self._spool.write(data)
        except OSError as e:
            raise SinkError(f"{tempfile.gettempdir()}: {e.strerror}", "free space there, or set TMPDIR") from e
        self._written += len(data)

    def close(self) -> int:
        with self._spool as spool:
            spool.seek(0)
            # Bytes while small: asking a spool for its length would move it to disk.
            content: Any = spool.read() if self._written <= SPOOL_BYTES else spool
            self._filesystem.upload(self._path, content)
        return _whole(self._path, self._filesystem.status(self._path), self._written).length

    def abort(self) -> None:
        self._spool.close()


def _whole(path: str, found: FileStatus | None, length: int) -> FileStatus:
    """What is there after an upload.  SinkError unless it is as long as what was sent."""
    if found is None or found.length != length:
        told = f"{found.length} bytes" if found else "is gone"
        raise SinkError(f"{path}: {told} after {length} were sent", "run again")
    return found


def _status_of(name: str, found: Any) -> FileStatus:
    number = found.get("fileId")  # never used again, and kept by renames; an HttpFS gateway does not tell it
    identity = f"{number} {found['length']} {found['modificationTime']}" if number else ""
    return FileStatus(name, found["length"], found["type"] == "DIRECTORY", identity)


def open_webhdfs(
    url: str, answer_seconds: float = ANSWER_SECONDS, environ: Mapping[str, str] = os.environ
) -> WebHdfsFilesystem:
    """What `offsets.filesystems.open_filesystem` gives for a sound webhdfs:// URL.

    A request fails after `answer_seconds` without an answer.
    """
    parts = urlsplit(url)
    user = parse_qs(parts.query).get("user", [environ.get("HADOOP_USER_NAME") or getpass.getuser()])[0]
    root = unquote(parts.path).rstrip("/")
    connect_seconds = min(answer_seconds, CONNECT_SECONDS)
    return WebHdfsFilesystem(
        f"http://{parts.netloc}", root, user, connect_seconds=connect_seconds, answer_seconds=answer_seconds
    )
