"""From the URL of an offset store to the store.  Checking a URL connects to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from urllib.parse import unquote, urlsplit

from offsets.errors import ConfigError
from offsets.filesystems import LocalFilesystem, check_url
from offsets.filesystems.local import link_and_unlink
from offsets.stores.base import RETAIN, MemoryStore, OffsetStore
from offsets.stores.file_lock import FileLock
from offsets.stores.lease_lock import RENEWALS, LeaseLock
from offsets.stores.log_store import LogStore

EXAMPLES = "zookeeper://host:2181,host:2181/apps/orders, webhdfs://namenode:9870/apps/orders, file:///var/lib/orders"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_ALIASES = {"zk": "zookeeper", "mem": "memory", "local": "file", "hdfs": "webhdfs"}
ANSWERS = 3  # requests that may go without an answer within a deadline


def open_store(
    url: str, session_timeout: float = 10.0, deadline: float = 15.0, retain_states: int = RETAIN
) -> OffsetStore:
    """A store that connects on first use.  Raises ConfigError for a URL that `check_store_url` has a problem with.

    ``session_timeout``: seconds after which a dead holder's lock is free; ``deadline``: seconds a call waits for a
    server; ``retain_states``: how many states a numbered log keeps.
    """
    if problems := check_store_url(url):
        raise ConfigError(problems, f"for example {EXAMPLES}")
    scheme = url.partition(":")[0]
    if scheme == "zookeeper":
        from offsets.stores.zookeeper_store import ZookeeperStore  # kazoo only for those who use it

        return ZookeeperStore(url, session_timeout, deadline)
    if scheme == "file":
        root = unquote(url.removeprefix("file://")).rstrip("/")
        disk = LocalFilesystem(root, rename=link_and_unlink)
        return LogStore(url, disk, FileLock(f"{root}/lock"), retain_states, deadline)
    if scheme == "webhdfs":
        from offsets.filesystems.webhdfs import open_webhdfs

        lease = LeaseLock(open_webhdfs(url, max(session_timeout / RENEWALS, 1.0)), session_timeout, deadline)
        return LogStore(url, open_webhdfs(url, deadline / ANSWERS), lease, retain_states, deadline)
    return MemoryStore()


def check_store_url(url: str) -> list[str]:
    """Problems of the URL, each one line; empty if it is sound."""
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _CHECKS:
        return [f"offset store {url!r}: {_scheme_problem(scheme if colon else '')}"]
    if not url.isprintable() or " " in url:
        return [f"offset store {url!r}: holds a blank or an unprintable character"]
    if scheme != "webhdfs" and ("?" in url or "#" in url):
        return [f"offset store {url!r}: takes no ? or #"]
    return [f"offset store {url!r}: {problem}" for problem in _CHECKS[scheme](url)]


def _scheme_problem(scheme: str) -> str:
    known = ", ".join(f"{name}:" for name in _CHECKS)
    near = [_ALIASES[scheme.lower()]] if scheme.lower() in _ALIASES else get_close_matches(scheme.lower(), _CHECKS, 1)
    said = f"unknown scheme {scheme}:" if scheme else "has no scheme"
    return said + (f", did you mean {near[0]}:?" if near else f", known are {known} (for example {EXAMPLES})")


def _check_memory(url: str) -> list[str]:
    return [] if url == "memory:" else ["memory: takes nothing after the colon"]


def _check_file(url: str) -> list[str]:
    parts = urlsplit(url)
    if not url.startswith("file://") or parts.netloc:
        return ["must be file:// and an absolute path, so three slashes: file:///var/lib/orders"]
    path = unquote(parts.path)
    if not path.strip("/"):
        return ["names no folder: file:///var/lib/orders"]
    return ["the path holds . or .."] if _dotted(path) else []


def _check_zookeeper(url: str) -> list[str]:
    if not url.startswith("zookeeper://"):
        return ["must begin with zookeeper://"]
    hosts, _, path = url.removeprefix("zookeeper://").partition("/")
    if "@" in hosts:
        return ["must not hold a user or password"]
    problems = [problem for host in hosts.split(",") if (problem := _host_problem(host))]
    names = path.rstrip("/").split("/")
    if not path.rstrip("/"):
        problems.append("names no path after the hosts, such as /apps/orders")
    elif "" in names or _dotted(path):
        problems.append("the path holds //, . or ..")
    elif names[0] == "zookeeper":
        problems.append("the path /zookeeper belongs to ZooKeeper itself")
    return problems


def _host_problem(host: str) -> str:
    match = _HOST.fullmatch(host)
    if not match:
        return f"{host!r} is not host:port" if host else "a host is missing: host:port,host:port/path"
    return "" if match[2] is None or 0 < int(match[2]) < 65536 else f"port {match[2]} of {host!r} is not in 1..65535"


def _dotted(path: str) -> bool:
    return any(name in (".", "..") for name in path.split("/"))


_CHECKS: Mapping[str, Callable[[str], list[str]]] = {
    "zookeeper": _check_zookeeper,
    "webhdfs": check_url,
    "file": _check_file,
    "memory": _check_memory,
}
