"""Folders and files that outlive a power cut, for stores and sinks on a local disk; OSErrors go to the caller.

`remedy` says what a person can do about such an error.
"""

from __future__ import annotations

import errno
import getpass
import os


def make_folders(path: str) -> None:
    """Makes the folder and its parents, each on disk before it is used.  FileExistsError: a file is in the way."""
    if not os.path.isdir(path):
        parent = os.path.dirname(path)
        make_folders(parent)
        try:
            os.mkdir(path)
        except FileExistsError:  # fine if another process was quicker
            if not os.path.isdir(path):
                raise
        sync_folder(parent)


def write_durably(path: str, content: bytes) -> None:
    """A new file whose content is on the disk; its name is so only after `sync_folder`.  FileExistsError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)


def sync_folder(path: str) -> None:
    """The names in the folder are on the disk afterwards."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remedy(number: int | None, path: str) -> str:
    """For an OSError's `errno` at `path`."""
    if number in (errno.EACCES, errno.EPERM):
        return f"let user {_user()} read and write {path}, or name another folder"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"make room on the disk of {path}, and launch again: nothing is lost"
    if number == errno.EROFS:
        return f"mount the disk of {path} for writing, or name another folder"
    if number in (errno.ENOTDIR, errno.EEXIST):
        return f"{path} must be a folder, and each part of it: name another one"
    return f"look at the disk of {path}, and launch again"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
