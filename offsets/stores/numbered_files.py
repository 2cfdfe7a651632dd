"""Files named by numbers in one folder, ``<20 digits>.json``: of all that want a number, one gets it.

A file is complete before it has its number, and never changes afterwards.  Decides nothing about what a number means.
"""

from __future__ import annotations

import re
import uuid
from contextlib import suppress

from offsets.errors import StateDamagedError, StoreError, StreamError
from offsets.failpoints import reach
from offsets.filesystems import FileStatus, Filesystem

REMEMBERED = 2  # files: a register and the one before it
_NUMBERED = re.compile(r"(\d{20})\.json")
_TEMP = re.compile(r"\.(\d{20})\.[0-9a-f]{32}\.tmp")  # the number that it was to get


class NumberedFiles:
    """Of one `folder`, which is made with the first file.  Errors are those of the filesystem, unless said here."""

    def __init__(self, filesystem: Filesystem, folder: str) -> None:
        self._filesystem, self._folder = filesystem, folder
        self._remembered: dict[str, bytes] = {}  # content by identity

    def found(self, first: int = 0) -> dict[int, FileStatus]:
        """The files from number `first` on, ascending.

        Raises StateDamagedError for a folder among them, or a name that somebody took for such a file's.
        """
        after = _name(first - 1) if first else ""
        entries = [entry for entry in self._filesystem.list(self._folder, after) if entry.name[0].isdigit()]
        for entry in entries:
            self._check(entry)
        return {int(entry.name[:20]): entry for entry in entries}

    def read(self, found: FileStatus) -> bytes:
        """Its content; not asked for again while it is the same file.  FileNotFoundError if it is gone by now."""
        if found.identity not in self._remembered:
            self._remember(found, self._filesystem.read(self._path(found.name)))
        return self._remembered[found.identity]

    def take(self, number: int, content: bytes) -> None:
        """Gives the number to a new file.  FileExistsError: it is taken.

        FileNotFoundError: somebody has removed what was half done.  After an UnavailableError it may have been done,
        or may still be.
        """
        temp = self._path(f".{number:020}.{uuid.uuid4().hex}.tmp")
        self._remember(self._filesystem.put(temp, content), content)
        reach("temp.after")
        try:
            reach("rename.before")
            self._filesystem.rename_no_clobber(temp, self._path(_name(number)))
            reach("rename.sent")
        except FileExistsError:
            with suppress(StreamError):
                self._filesystem.delete(temp)
            raise
        reach("rename.after")

    def touch(self, number: int) -> None:
        """Gives it a new identity; the content stays.  FileNotFoundError if it is gone."""
        self._filesystem.touch(self._path(_name(number)))

    def delete(self, number: int) -> None:
        """Removes it if it is there."""
        self._filesystem.delete(self._path(_name(number)))

    def delete_temps(self, newest: int) -> None:
        """Removes what was to get a number up to `newest`, by whomever: nobody is waiting for that any more."""
        for entry in self._filesystem.list(self._folder):
            if (temp := _TEMP.fullmatch(entry.name)) and int(temp[1]) <= newest:
                self._filesystem.delete(self._path(entry.name))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _remember(self, found: FileStatus, content: bytes) -> None:
        if not found.identity:
            raise StoreError(
                f"{self._filesystem.url} gives files no identities, as a NameNode does: an HttpFS gateway?",
                "name the NameNode itself, host and HTTP port",
            )
        kept = list(self._remembered.items())[1 - REMEMBERED :]
        self._remembered = {**dict(kept), found.identity: content}

    def _check(self, entry: FileStatus) -> None:
        where = f"{self._filesystem.url}/{self._path(entry.name)}"
        if not _NUMBERED.fullmatch(entry.name):
            raise StateDamagedError(
                f"{where} is no state: states are named by 20 digits and .json",
                "move it out of that folder; put an older state back only with the reset script",
            )
        if entry.is_directory:
            raise StateDamagedError(f"{where} is a folder, not a state", "find out who made it, and move it away")


def _name(number: int) -> str:
    return f"{number:020}.json"
