"""Files in HDFS over WebHDFS, through HdfsCLI.  No request is ever sent twice; errors are told by class, not by text.

HdfsCLI's own `rename` is not used (it moves into an existing directory), nor its asynchronous writer (it ends an upload
normally when the block that feeds it raises), nor `strict=False` (it takes every error for "no such file").
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any
from urllib.parse import quote

import requests
import urllib3
from hdfs import HdfsError, InsecureClient

from offsets.errors import SinkError, UnavailableError
from offsets.filesystems.base import FileStatus, checked

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0
SPOOL_BYTES = 1 << 20  # per open file in memory; the rest waits on the executor's disk
REACH = "check the address, and that NameNode and DataNode run and are out of safe mode; then launch again"
EXISTS = ("FileAlreadyExistsException",)
MISSING = ("FileNotFoundException",)
REFUSED = {
    "AccessControlException": "give this user (sink.path ...?user=NAME) the right to write there",
    "SecurityException": "give this user (sink.path ...?user=NAME) the right to write there",
    "NSQuotaExceededException": "raise the name quota of the directory, or remove what is no longer needed",
    "DSQuotaExceededException": "raise the space quota of the directory, or remove what is no longer needed",
    "QuotaByStorageTypeExceededException": "raise the quota of the directory, or remove what is no longer needed",
    "MaxDirectoryItemsExceededException": "raise dfs.namenode.fs-limits.max-directory-items, or move files away from "
    "that directory; then launch again: the batch is finished then",
    "PathComponentTooLongException": "raise dfs.namenode.fs-limits.max-component-length",
    "ParentNotDirectoryException": "a part of the path is a file: choose another sink.path",
    "PathIsNotEmptyDirectoryException": "the directory is not empty",
    "InvalidPathException": "choose another sink.path",
    "IllegalArgumentException": "choose another sink.path",
    "UnsupportedOperationException": "the server is too old, or this operation is switched off",
}


@dataclass(frozen=True)
class WebHdfsFilesystem:
    """`namenode`: http://host:port.  `root`: absolute directory.  Connects at the first request; safe in threads."""

    namenode: str
    root: str
    user: str
    parallelism: int = 8

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

    def rename_no_clobber(self, source: str, destination: str) -> None:
        url = f"{self.namenode}/webhdfs/v1{quote(self._at(source))}"
        params = {"op": "RENAME", "destination": self._at(destination), "renameoptions": "NONE"}
        with self._errors(destination):
            self._session.put(url, params=params, timeout=(CONNECT_SECONDS, ANSWER_SECONDS))

    def status(self, path: str) -> FileStatus | None:
        try:
            with self._errors(path):
                found = self._client.status(self._at(path))
        except FileNotFoundError:
            return None
        return _status_of(path.rpartition("/")[2], found)

    def list(self, path: str) -> list[FileStatus]:
        try:
            with self._errors(path):
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

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()  # its adapters never retry, unless told to
        session.trust_env = False  # no proxy and no .netrc from wherever the executor happens to run
        session.params = {"user.name": self.user}
        session.hooks["response"].append(_raise_for_error)
        return session

    @cached_property
    def _client(self) -> InsecureClient:
        timeout = (CONNECT_SECONDS, ANSWER_SECONDS)
        return InsecureClient(self.namenode, user=self.user, timeout=timeout, session=self._session)

    def _at(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{checked(path)}".rstrip("/") or "/"

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except HdfsError as e:
            raise self._translated(e, path) from e
        except (requests.RequestException, urllib3.exceptions.HTTPError) as e:
            why = type(e).__name__
            raise UnavailableError(f"no answer from {self.namenode} for {self._at(path)} ({why})", REACH) from e

    def _translated(self, error: HdfsError, path: str) -> Exception:
        name, where = error.exception, f"{self.url}: {self._at(path)}"
        if name in EXISTS:
            return FileExistsError(f"{where} exists")
        if name in MISSING:
            return FileNotFoundError(f"{where} does not exist, or its parent")
        told, *_frames = str(error.message).split("\n\tat ")  # some answers carry the server's whole stack trace
        text = " ".join(told.split())[:300]
        if name is None:  # HdfsCLI's own judgement of an answer
            return SinkError(f"{where}: {text}", REFUSED["InvalidPathException"])
        if name in REFUSED:
            return SinkError(f"{where}: {name}: {text}", REFUSED[name])
        return UnavailableError(f"{where}: {name}: {text}", REACH)


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
        found = self._filesystem.status(self._path)
        if found is None or found.length != self._written:
            told = f"{found.length} bytes" if found else "is gone"
            raise SinkError(f"{self._path}: {told} after {self._written} were sent", "run again")
        return found.length

    def abort(self) -> None:
        self._spool.close()


def _status_of(name: str, found: Any) -> FileStatus:
    return FileStatus(name, found["length"], found["type"] == "DIRECTORY")


def _raise_for_error(answer: requests.Response, **_: Any) -> None:
    """HdfsCLI does this too, but stumbles over JSON that is not Hadoop's."""
    if answer.status_code < 400:
        return
    try:
        remote = answer.json()["RemoteException"]
        name, message = str(remote["exception"]), str(remote["message"])
    except (ValueError, KeyError, TypeError):
        name, message = f"HTTP {answer.status_code}", str(answer.reason)
    raise HdfsError(message, exception=name)
