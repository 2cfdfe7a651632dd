"""The Filesystem contract.  Says what every implementation promises; does nothing itself.

Outcomes that a caller decides on are Python's own FileExistsError and FileNotFoundError.  Everything else is a
SinkError (it refused: rights, space, not a directory) or an UnavailableError (no answer: done, or not done).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class FileStatus(NamedTuple):
    """One entry.  `length` in bytes, 0 for directories.

    `identity`: two equal ones, not empty, are one file of `put` with the same content, whatever it is called now.
    """

    name: str  # the last component
    length: int
    is_directory: bool
    identity: str = ""


class Writer(Protocol):
    """A file being written.  Unless `close` has returned, nobody may take the file for a whole one."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> int:
        """Durable and as long as what was written, or SinkError.  Returns that length in bytes."""

    def abort(self) -> None:
        """Gives up.  Never finishes the file, never raises; may leave a part of it behind."""


class Filesystem(Protocol):
    """All paths are relative to the root; "" is the root.  Raises ValueError for a path that `checked` refuses."""

    @property
    def url(self) -> str:
        """For messages: the root, as a job file names it."""

    @property
    def parallelism(self) -> int:
        """How many requests in flight pay off."""

    def create(self, path: str) -> Writer:
        """A new file, with its parents.  An existing one is never touched: FileExistsError here or at `close`."""

    def put(self, path: str, content: bytes) -> FileStatus:
        """A whole new file at once, with its parents; durable once it was renamed.  FileExistsError: the name is taken.

        FileNotFoundError: somebody has deleted it meanwhile.
        """

    def claim(self, path: str) -> None:
        """An empty file, in a directory that is there: of all who ever claim a name, one returns.

        FileExistsError: it was claimed.  FileNotFoundError: no such directory, which is never made.  After an
        UnavailableError it may be claimed, or not.
        """

    def touch(self, path: str) -> None:
        """Gives the file a new time of modification, and so a new identity.  FileNotFoundError if there is none."""

    def rename_no_clobber(self, source: str, destination: str) -> None:
        """Moves a file or directory in one atomic step, never over or into anything that exists.

        FileExistsError: the destination is taken.  FileNotFoundError: no source, or no parent of the destination.
        Who must be sure what an error means asks for the source.
        """

    def status(self, path: str) -> FileStatus | None:
        """None only if the file system says that there is none."""

    def list(self, path: str, after: str = "") -> list[FileStatus]:
        """The entries of a directory by name, those behind the name `after`; none if there is no such directory.

        With `after`, what is not listed costs next to nothing.
        """

    def delete(self, path: str, recursive: bool = False) -> None:
        """Removes it if it is there.  SinkError for a directory that is not empty, unless `recursive`."""

    def mkdirs(self, path: str) -> None:
        """A directory and its parents; fine if they exist."""

    def read(self, path: str) -> bytes:
        """The whole content.  FileNotFoundError if there is none."""


def checked(path: str) -> str:
    """The path, if it is made of plain components only: it cannot leave the root it is joined to."""
    if path and any(part in ("", ".", "..") or "\0" in part for part in path.split("/")):
        raise ValueError(f"not a path below the root: {path!r}")
    return path


def parent(path: str) -> str:
    """The directory of `path`; "" for what lies directly in the root."""
    return path.rpartition("/")[0]
