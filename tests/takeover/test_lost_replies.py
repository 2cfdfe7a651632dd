"""On the wire, one reply of a server is lost in the life of a run of several batches: every one of them, one by one.

So each compare-and-set, rename, create, look and lock is done once without the driver learning of it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from servers.hdfs_server import Hdfs
from servers.proxy import Mode, Proxy
from servers.zookeeper_server import ZooKeeper
from tests.integration.jobs import Job, Topics, once
from tests.takeover.drivers import Drivers

RECORDS = 6  # a partition
BATCHES = 3
AT_ONCE = 4


class Wire(NamedTuple):
    """The settings of a job by the address at which it finds the server, and that server's own."""

    settings: Callable[[str, str], dict[str, str]]
    server: str


@pytest.fixture(params=["zookeeper", "hdfs"])
def wire(request: pytest.FixtureRequest, zookeeper: ZooKeeper, hdfs: Hdfs, tmp_path: Path) -> Wire:
    """ZooKeeper with a register, or a NameNode with a register, its lock and a sink."""
    if request.param == "zookeeper":
        return Wire(
            lambda at, name: {"offsets__store": f"zookeeper://{at}/lost/{tmp_path.name}/{name}"}, zookeeper.hosts
        )

    def in_hdfs(at: str, name: str) -> dict[str, str]:
        root = f"webhdfs://{at}/lost/{tmp_path.name}/{name}"
        return {"offsets__store": f"{root}/offsets", "sink__path": f"{root}/lake"}

    return Wire(in_hdfs, hdfs.webhdfs)


@pytest.fixture
def topic(topics: Topics) -> str:
    topics.fill(name := topics.create(), RECORDS, RECORDS)
    return name


@pytest.fixture
def lose(
    wire: Wire, topic: str, job: Callable[..., Job], drivers: Drivers
) -> Iterator[Callable[[int], tuple[int, int]]]:
    """`lose(n)`: a run whose n-th reply (from 0; -1: none) is lost, then a clean one; its status, and how many came."""
    with ExitStack() as proxies:

        def run(nth: int) -> tuple[int, int]:
            proxy, name = proxies.enter_context(Proxy(wire.server)), f"reply-{nth}"
            rest = {
                "source__maxOffsetsPerTrigger": str(2 * RECORDS // BATCHES),
                "offsets__session__timeout__ms": "4000",
            }
            made = job(topic, name=name, **wire.settings(proxy.address, name), **rest)
            if nth >= 0:
                proxy.switch(Mode.DROP_REPLIES, drops=1, after=nth)
            first = drivers.run(made.path)
            assert first.status in (0, 69), f"reply {nth}: {first.said}"
            made.write(**wire.settings(wire.server, name))
            second = drivers.run(made.path)
            assert second.status == 0, f"reply {nth}: {first.said}\n{second.said}"
            assert made.landed() == once(topic, {0: (0, RECORDS), 1: (0, RECORDS)}), f"reply {nth}: {first.said}"
            state = made.register()
            assert (state.pending, state.topics[topic].offsets) == (None, {0: RECORDS, 1: RECORDS}), f"reply {nth}"
            assert proxy.dropped == (0 <= nth < proxy.replies)
            return first.status, proxy.replies

        yield run


@pytest.mark.full  # the crash suite's tuples lose some of them
@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", [0.06, 1.0], ids=["some", "every"])
def test_every_reply(lose: Callable[[int], tuple[int, int]], share: float) -> None:
    """Whichever it is, the run goes on or leaves with 69, and the next one ends with each record there once."""
    status, replies = lose(-1)
    assert status == 0
    assert replies > BATCHES * 4  # answers that come together count once
    chosen = random.sample(range(replies), round(share * replies))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = Counter(status for status, _ in pool.map(lose, chosen))
    print(f"{replies} replies, {len(chosen)} of them lost; exits: {dict(found)}")
