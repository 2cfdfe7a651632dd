"""Files on a local disk: durable at close and at every rename.  Never overwrites."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from offsets.disk import make_folders, remedy, sync_folder, write_durably
from offsets.errors import SinkError
from offsets.filesystems.base import FileStatus, checked

Rename = Callable[[str, str], None]
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # <fcntl.h>, <linux/fs.h>
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)  # old kernels; NFS and some overlays


def rename_noreplace(source: str, destination: str) -> None:
    """`renameat2(RENAME_NOREPLACE)`; raises NotImplementedError where kernel or file system lacks it."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        raise NotImplementedError
    if function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(destination), _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code in _NOT_SUPPORTED:
        raise NotImplementedError
    raise OSError(code, os.strerror(code), source, None, destination)


def look_and_rename(source: str, destination: str) -> None:
    """Rule P's second best: names are unique, so nobody of ours can come between the look and the rename."""
    if os.path.lexists(destination):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, destination)
    os.rename(source, destination)


def link_and_unlink(source: str, destination: str) -> None:
    """Of any number of racers one wins, on every file system; a crash may leave both names.  Not for publishing."""
    os.link(source, destination)
    with suppress(FileNotFoundError):  # whoever cleans up was quicker
        os.unlink(source)


@dataclass(frozen=True)
class LocalFilesystem:
    """Rooted at the absolute directory `root`, which need not exist yet."""

    root: str
    rename: Rename = rename_noreplace
    parallelism: int = 1

    @property
    def url(self) -> str:
        return f"file://{self.root}"

    def create(self, path: str) -> LocalWriter:
        self.mkdirs(checked(path).rpartition("/")[0])
        with _refusals(self._at(path)):
            return LocalWriter(self._at(path))

    def put(self, path: str, content: bytes) -> FileStatus:
        self.mkdirs(checked(path).rpartition("/")[0])
        with _refusals(self._at(path)):
            write_durably(self._at(path), content)
            _stamp(self._at(path))
            return _status_of(Path(self._at(path)))

    def claim(self, path: str) -> None:
        with _refusals(self._at(path)):
            os.close(os.open(self._at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))

    def touch(self, path: str) -> None:
        with _refusals(self._at(path)):
            _stamp(self._at(path))

    def rename_no_clobber(self, source: str, destination: str) -> None:
        old, new = self._at(source), self._at(destination)
        with _refusals(new):
            try:
                self.rename(old, new)
            except NotImplementedError:
                look_and_rename(old, new)
            for directory in {os.path.dirname(new), os.path.dirname(old)}:
                sync_folder(directory)

    def status(self, path: str) -> FileStatus | None:
        with _refusals(self._at(path)):
            try:
                return _status_of(Path(self._at(path)))
            except FileNotFoundError:
                return None

    def list(self, path: str, after: str = "") -> list[FileStatus]:
        with _refusals(self._at(path)):
            try:
                names = sorted(name for name in os.listdir(self._at(path)) if name > after)
            except FileNotFoundError:
                return []
        return [status for name in names if (status := self.status(f"{path}/{name}".lstrip("/")))]

    def delete(self, path: str, recursive: bool = False) -> None:
        at = self._at(path)
        with _refusals(at), suppress(FileNotFoundError):  # another may delete the same: gone is gone
            if not os.path.isdir(at) or os.path.islink(at):
                os.unlink(at)
            elif recursive:
                shutil.rmtree(at)
            else:
                os.rmdir(at)

    def mkdirs(self, path: str) -> None:
        with _refusals(self._at(path)):
            try:
                make_folders(self._at(path))
            except (FileExistsError, FileNotFoundError) as e:  # to callers a taken name, or no parent: not meant here
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), e.filename) from e

    def read(self, path: str) -> bytes:
        with _refusals(self._at(path)):
            return Path(self._at(path)).read_bytes()

    def _at(self, path: str) -> str:
        return os.path.join(self.root, checked(path)) if path else self.root


class LocalWriter:
    """A new local file; `close` makes content and name durable."""

    def __init__(self, at: str) -> None:
        self._at, self._written = at, 0
        self._file = open(at, "xb", buffering=1 << 16)  # noqa: SIM115  closed by close() or abort()

    def write(self, data: bytes) -> None:
        with _refusals(self._at):
            self._file.write(data)
        self._written += len(data)

    def close(self) -> int:
        with _refusals(self._at), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            length = os.fstat(self._file.fileno()).st_size
            sync_folder(os.path.dirname(self._at))
        if length != self._written:
            raise SinkError(f"{self._at} has {length} bytes, {self._written} were written", "run again")
        return length

    def abort(self) -> None:
        with suppress(OSError):
            os.unlink(self._at)
        with suppress(OSError):
            self._file.close()


def _stamp(at: str) -> None:
    """The exact time: the kernel's own times are some ms apart, and it uses the numbers of deleted files again."""
    now = time.time_ns()
    os.utime(at, ns=(now, now))


def _status_of(path: Path) -> FileStatus:
    found = path.lstat()
    directory = path.is_dir()
    identity = f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"
    return FileStatus(path.name, 0 if directory else found.st_size, directory, identity)


@contextmanager
def _refusals(at: str) -> Iterator[None]:
    """Turns what the disk refuses into a SinkError; FileExistsError and FileNotFoundError stay what they are."""
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as e:
        raise SinkError(f"{e.filename or at}: {e.strerror or e}", remedy(e.errno, at)) from e
