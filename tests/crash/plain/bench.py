"""What the tuples share, and what each has of its own: a job file, a store and a sink."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kazoo.client import KazooClient

from tests.crash.plain.places import Folder
from tests.crash.plain.topic import BATCH, Produced

Profile = tuple[str, str]  # guarantee, kind
JOB = """\
[job]
name = {name}
{function}
delivery.guarantee = {guarantee}

[source]
subscribe = {topic}
startingOffsets = earliest
maxOffsetsPerTrigger = {batch}

[kafka]
bootstrap.servers = {bootstrap}

[offsets]
store = {store}
session.timeout.ms = 2000

[sink]
path = {sink}
{more}
"""
FUNCTION = {"staged": "function = tests.crash.plain.function:row", "direct": ""}
MORE = {"staged": "path.format = side={side}", "direct": "class = tests.crash.plain.sinks:{sink}"}


class Places(NamedTuple):
    """Where a tuple's job file is, and the URLs of its store and its sink."""

    job: str
    store: str
    sink: str


@dataclass
class Bench:
    """What all tuples share: servers, the topic, a folder of the local disk.  Safe in threads."""

    bootstrap: str
    produced: Produced
    zookeeper: str  # hosts
    webhdfs: str  # host:port
    folder: Path
    client: KazooClient
    postgres: str = ""  # URL of a database, for those tuples that need one
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def lay_out(self, profile: Profile, store: str) -> Places:
        """A job of this profile, with a new store of that kind and a new sink."""
        name = f"{self.folder.name}/{next(self.numbers)}"
        folder = self.folder.parent / name
        folder.mkdir(parents=True)
        places = Places(str(folder / "crash.cfg"), *(STORES | DATABASES)[store](self, name, folder))
        if places.store.startswith(("file:", "webhdfs:")):
            Folder(places.store).make()  # a quota needs a folder
        guarantee, kind = profile
        more = MORE[kind].format(side="{side}", sink="Upsert" if guarantee == "exactly-once" else "Append")
        names = {"name": folder.name, "guarantee": guarantee, "function": FUNCTION[kind], "more": more}
        kafka = {"bootstrap": self.bootstrap, "topic": self.produced.topic, "batch": BATCH}
        Path(places.job).write_text(JOB.format(**names, **kafka, store=places.store, sink=places.sink))
        return places


# Each kind of store and of sink, so that each failpoint of a sink is passed on both kinds of file systems.
Placing = Callable[["Bench", str, Path], tuple[str, str]]
STORES: dict[str, Placing] = {
    "zookeeper": lambda b, name, _: (
        f"zookeeper://{b.zookeeper}/crash/{name}",
        f"webhdfs://{b.webhdfs}/crash/{name}/lake",
    ),
    "hdfs": lambda b, name, folder: (f"webhdfs://{b.webhdfs}/crash/{name}/store", f"file://{folder}/lake"),
    "file": lambda b, name, folder: (f"file://{folder}/store", f"file://{folder}/lake"),
}
# A few tuples of their own, see test_databases.py: the protocol is the same, and so are the sinks.
DATABASES: dict[str, Placing] = {
    "postgresql": lambda b, name, folder: (f"{b.postgres}?register={name.replace('/', '.')}", f"file://{folder}/lake"),
    "sqlite": lambda b, name, folder: (f"sqlite:///{folder}/store.db", f"file://{folder}/lake"),
}
KERNEL_LOCKS = ("file", "sqlite")  # held by the kernel for as long as the process is there, be it frozen
STORE_POINTS = ("lock.", "create.", "replace.", "take.")  # where the store is about to write, and not the sink
