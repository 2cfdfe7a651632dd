"""What is right and wrong about the URL of an offset store.  Connects to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from offsets.filesystems import check_url

EXAMPLES = (
    "zookeeper://host:2181,host:2181/apps/orders, webhdfs://namenode:9870/apps/orders, file:///var/lib/orders, "
    "postgresql://etl@host:5432/jobs?register=orders, sqlite:////var/lib/orders.db"
)
SQL = ("postgresql", "sqlite")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_REGISTER = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PASSWORD = re.compile(r"(//[^:/@]*:).*(?=@)")  # whatever it holds: somebody may not have escaped its @, : or /
_QUERIED_PASSWORD = re.compile(r"(?i)(pass\w*=)[^&'\s]*")
_QUERIED = ("webhdfs", *SQL)
_ALIASES = {"zk": "zookeeper", "mem": "memory", "local": "file", "hdfs": "webhdfs"}
_ALIASES |= {"postgres": "postgresql", "pg": "postgresql", "psql": "postgresql", "postgresql+psycopg": "postgresql"}


class SqlUrl(NamedTuple):
    """The parts of a sound URL of a database.  `database`: of SQLite the file's absolute path."""

    scheme: str
    user: str | None
    host: str | None
    port: int | None
    database: str
    register: str


def check_store_url(url: str) -> list[str]:
    """Problems of the URL, each one line; empty if it is sound.  What may be a password is not repeated."""
    shown = _PASSWORD.sub(r"\1***", url)
    return [_QUERIED_PASSWORD.sub(r"\1***", f"offset store {shown!r}: {problem}") for problem in _problems(url)]


def sql_url(url: str) -> SqlUrl:
    """The parts of a URL that `check_store_url` has no problem with."""
    parts = urlsplit(url)
    register = dict(parse_qsl(parts.query)).get("register", "default")
    if parts.scheme == "sqlite":
        return SqlUrl("sqlite", None, None, None, unquote(parts.path)[1:], register)
    user = None if parts.username is None else unquote(parts.username)
    return SqlUrl("postgresql", user, parts.hostname, parts.port, unquote(parts.path[1:]), register)


def _problems(url: str) -> list[str]:
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _CHECKS:
        return [_scheme_problem(scheme if colon else "")]
    if not url.isprintable() or " " in url:
        return ["holds a blank or an unprintable character"]
    if scheme not in _QUERIED and ("?" in url or "#" in url):
        return ["takes no ? or #"]
    return _CHECKS[scheme](url)


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


def _check_sqlite(url: str) -> list[str]:
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if not url.startswith("sqlite:///") or not path.startswith("/"):
        return ["must be sqlite:/// and the absolute path of a file, so four slashes: sqlite:////var/lib/orders.db"]
    problems = _query_problems(url) + _missing("sqlalchemy")
    if path.endswith("/") or _dotted(path):
        problems.append("the path is no file's, or holds . or ..")
    return problems


def _check_postgresql(url: str) -> list[str]:
    if not url.startswith("postgresql://"):
        return ["must begin with postgresql://"]
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if _PASSWORD.search(url):
        return ["must not hold a password: give it in PGPASSWORD, or in a file that PGPASSFILE names (libpq's own)"]
    problems = _query_problems(url) + _missing("sqlalchemy", "psycopg")
    if problem := _host_problem(host):
        problems.append(problem)
    if not unquote(parts.path[1:]) or "/" in parts.path[1:]:
        problems.append("names no database after the host, such as postgresql://etl@host:5432/jobs")
    return problems


def _query_problems(url: str) -> list[str]:
    _, asked, query = url.partition("?")
    name, _, value = query.partition("=")
    if "#" in url or (asked and name != "register"):
        return ["takes nothing after the path but ?register=NAME"]
    if asked and not _REGISTER.fullmatch(value):
        return [f"register={value}: up to 100 letters, digits, dots, - and _"]
    return []


def _missing(*modules: str) -> list[str]:
    lacking = [name for name in modules if find_spec(name) is None]
    return [f"needs {' and '.join(lacking)}: pip install 'kafka-direct-streaming[sql]'"] if lacking else []


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
    "postgresql": _check_postgresql,
    "sqlite": _check_sqlite,
    "memory": _check_memory,
}
