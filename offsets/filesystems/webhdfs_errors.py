"""What a NameNode's refusals mean here: Hadoop's exceptions to errors of ours, by class name, never by text."""

from __future__ import annotations

from typing import Any

import requests
from hdfs import HdfsError

from offsets.errors import SinkError, UnavailableError

REACH = "check the address, and that NameNode and DataNode run and are out of safe mode; then launch again"
EXISTS = ("FileAlreadyExistsException", "AlreadyBeingCreatedException")  # also while another writes it
MISSING = ("FileNotFoundException",)
REFUSED = {
    "AccessControlException": "give this user (URL?user=NAME) the right to read and write there",
    "SecurityException": "give this user (URL?user=NAME) the right to read and write there",
    "NSQuotaExceededException": "raise the name quota of the directory, or remove what is no longer needed",
    "DSQuotaExceededException": "raise the space quota of the directory, or remove what is no longer needed",
    "QuotaByStorageTypeExceededException": "raise the quota of the directory, or remove what is no longer needed",
    "MaxDirectoryItemsExceededException": "raise dfs.namenode.fs-limits.max-directory-items, or move files away from "
    "that directory; then launch again: the batch is finished then",
    "PathComponentTooLongException": "raise dfs.namenode.fs-limits.max-component-length",
    "ParentNotDirectoryException": "a part of the path is a file: choose another path",
    "PathIsNotEmptyDirectoryException": "the directory is not empty",
    "InvalidPathException": "choose another path",
    "IllegalArgumentException": "choose another path",
    "UnsupportedOperationException": "the server is too old, or this operation is switched off",
}


def translated(error: HdfsError, where: str) -> Exception:
    """FileExistsError, FileNotFoundError, SinkError with its remedy, or UnavailableError.  `where`: URL and path."""
    name = error.exception
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


def raise_for_error(answer: requests.Response, **_: Any) -> None:
    """HdfsCLI does this too, but stumbles over JSON that is not Hadoop's."""
    if answer.status_code < 400:
        return
    try:
        remote = answer.json()["RemoteException"]
        name, message = str(remote["exception"]), str(remote["message"])
    except (ValueError, KeyError, TypeError):
        name, message = f"HTTP {answer.status_code}", str(answer.reason)
    raise HdfsError(message, exception=name)
