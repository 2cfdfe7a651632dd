"""Where the register and the sink of a test lie, for every kind of store, and what there is in them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hdfs import HdfsError, InsecureClient

from servers.hdfs_server import Hdfs
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job

KINDS = ("zookeeper", "hdfs", "file")
ALL_KINDS = (*KINDS, "sqlite", "postgresql")
Mark = tuple[object, ...]  # of a file that is the same and has not changed


def mostly(plain: str, all_: Sequence[str] = KINDS) -> list[Any]:
    """Parameters: one of them in the plain suite, the others only in the full one."""
    return [pytest.param(each, marks=() if each == plain else pytest.mark.full) for each in all_]


def places(kind: str, name: str, folder: Path, zookeeper: ZooKeeper, hdfs: Hdfs) -> dict[str, str]:
    """Settings of a register of that kind, and of a sink."""
    local = {"sink__path": f"file://{folder / name / 'lake'}"}
    if kind == "zookeeper":
        return {**local, "offsets__store": f"zookeeper://{zookeeper.hosts}/takeover/{folder.name}/{name}"}
    if kind == "file":
        return {**local, "offsets__store": f"file://{folder / name / 'offsets'}"}
    root = f"webhdfs://{hdfs.webhdfs}/takeover/{folder.name}/{name}"
    return {"offsets__store": f"{root}/offsets", "sink__path": f"{root}/lake"}


def settings(request: pytest.FixtureRequest, kind: str, folder: Path) -> dict[str, str]:
    """Of a job with a register of any of ALL_KINDS."""
    if kind == "sqlite":
        return {"offsets__store": f"sqlite:///{folder}/register.db"}
    if kind == "postgresql":
        return {"offsets__store": request.getfixturevalue("postgres").database(f"job_{uuid.uuid4().hex[:8]}")}
    return places(kind, "job", folder, request.getfixturevalue("zookeeper"), request.getfixturevalue("hdfs"))


def contents(job: Job) -> dict[str, Mark]:
    """Every file of the sink, also those that are no data; but for the reports of runs."""
    url = job.settings["sink.path"]
    listing = on_disk(job.lake) if url.startswith("file:") else in_hdfs(url)
    return {name: mark for name, mark in listing if not name.startswith("_runs/")}


def on_disk(root: Path) -> Iterator[tuple[str, Mark]]:
    for path in root.rglob("*"):
        if path.is_file():
            found = path.stat()
            yield str(path.relative_to(root)), (found.st_ino, found.st_size, found.st_mtime_ns)


def in_hdfs(url: str) -> Iterator[tuple[str, Mark]]:
    host, _, path = url.removeprefix("webhdfs://").partition("/")
    try:
        for (folder, _), _, files in InsecureClient(f"http://{host}").walk(f"/{path}", status=True):
            for name, found in files:
                inside = f"{folder}/{name}".removeprefix(f"/{path}/")
                yield inside, (found["fileId"], found["length"], found["modificationTime"])
    except HdfsError as e:
        if e.exception != "FileNotFoundException":
            raise
