"""Where files live: local disks and WebHDFS behind one small Protocol; one suite in tests/contract holds all to it.

Paths are relative to the URL's directory and joined from plain components only.  Nothing here overwrites a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from offsets.errors import ConfigError
from offsets.filesystems.base import FileStatus, Filesystem, Writer, checked
from offsets.filesystems.local import LocalFilesystem

FORMS = "file:///dir or webhdfs://namenode:9870/dir"


def open_filesystem(url: str, environ: Mapping[str, str] = os.environ) -> Filesystem:
    """The file system rooted at `url`.  Picklable; connects at the first request.  Raises ConfigError for a bad URL.

    WebHDFS requests carry the user of `?user=`, else of HADOOP_USER_NAME, else of this (the driver's) process.
    """
    if problems := check_url(url):
        raise ConfigError([f"{url}: {problem}" for problem in problems], f"give {FORMS}")
    parts = urlsplit(url)
    root = unquote(parts.path).rstrip("/") or "/"
    if parts.scheme == "file":
        return LocalFilesystem(root)
    from offsets.filesystems.webhdfs import (
        open_webhdfs,  # an HTTP client takes most of the time that a worker starts in
    )

    return open_webhdfs(url, environ=environ)


def check_url(url: str) -> list[str]:
    """What is wrong with the URL of a place for files, found without connecting; empty if nothing is."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as e:
        return [str(e)]
    if parts.scheme not in ("file", "webhdfs"):
        return [f"must be {FORMS}"]
    wrong = _path_problems(unquote(parts.path))
    if parts.scheme == "file" and parts.netloc:
        wrong.append(f"file:// takes no host, so three slashes: file:///{parts.netloc}{parts.path}")
    if parts.scheme == "webhdfs" and not (host and port):
        wrong.append("needs the NameNode's host and its HTTP port (9870 unless configured otherwise)")
    if parts.username is not None:
        wrong.append("takes no user@ or password; use ?user=")
    allowed = {"user"} if parts.scheme == "webhdfs" else set()
    query = parse_qs(parts.query, keep_blank_values=True)
    if parts.fragment or set(query) - allowed or not all(all(values) for values in query.values()):
        wrong.append(f"takes nothing after the path{' but ?user=NAME' if allowed else ''}")
    return wrong


def overlap(one: str, other: str) -> bool:
    """Whether the directory of one of two URLs is the other's, or lies inside it.  Also for URLs of other kinds."""
    (scheme, host, a), (other_scheme, other_host, b) = _place(one), _place(other)
    return (scheme, host) == (other_scheme, other_host) and a[: len(b)] == b[: len(a)]


def _place(url: str) -> tuple[str, str, tuple[str, ...]]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower(), tuple(name for name in unquote(parts.path).split("/") if name)


def _path_problems(path: str) -> list[str]:
    if not path.startswith("/") or path.strip("/") == "":
        return ["needs an absolute directory below the root"]
    try:
        checked(path.strip("/"))
    except ValueError as e:
        return [str(e)]
    return []


__all__ = ["FORMS", "FileStatus", "Filesystem", "LocalFilesystem", "Writer"]
__all__ += ["check_url", "open_filesystem", "overlap"]
