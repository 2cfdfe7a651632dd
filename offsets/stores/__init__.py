"""From the URL of an offset store to the store."""

from __future__ import annotations

from urllib.parse import unquote

from offsets.errors import ConfigError
from offsets.filesystems import LocalFilesystem
from offsets.filesystems.local import link_and_unlink
from offsets.stores.base import RETAIN, MemoryStore, OffsetStore
from offsets.stores.file_lock import FileLock
from offsets.stores.lease_lock import RENEWALS, LeaseLock
from offsets.stores.log_store import LogStore
from offsets.stores.urls import EXAMPLES, SQL, check_store_url

__all__ = ["EXAMPLES", "check_store_url", "open_store"]
ANSWERS = 3  # requests that may go without an answer within a deadline


def open_store(
    url: str, session_timeout: float = 10.0, deadline: float = 15.0, retain_states: int = RETAIN
) -> OffsetStore:
    """A store that connects on first use.  Raises ConfigError for a URL that `check_store_url` has a problem with.

    ``session_timeout``: seconds after which a dead holder's lock is free; ``deadline``: seconds a call waits for a
    server; ``retain_states``: how many states a numbered log or a database keeps.
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
    if scheme in SQL:
        from offsets.stores.sql_store import open_sql_store

        return open_sql_store(url, session_timeout, deadline, retain_states)
    return MemoryStore()
