"""Faults of everything around a launch: servers, connections, space and topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from servers.daemon import Daemon
from servers.proxy import Mode
from tests.soak.scene import Act, NoTarget, Scene, Struck
from tests.soak.world import PARTITIONS, PLAIN, World

MOST_PARTITIONS = 8


def crash(daemon: Callable[[World], Daemon]) -> Act:
    """SIGKILL for a server, which is started again some moments later."""

    def act(scene: Scene) -> Iterator[Struck]:
        target = daemon(scene.world)
        pid = target.pid
        target.kill()
        try:
            yield Struck(f"{target.name} pid {pid}", scene.dice.uniform(0, 3))
        finally:
            target.restart()

    return act


def lose_replies(server: str) -> Act:
    """Requests are carried out, and the connection ends before the reply."""

    def act(scene: Scene) -> Iterator[Struck]:
        proxy, drops = scene.world.proxies[server], scene.dice.randint(1, 3)
        proxy.switch(Mode.DROP_REPLIES, drops=drops)
        try:
            yield Struck(f"{drops} replies", 4, lambda: proxy.mode is Mode.PASS)
        finally:
            proxy.switch(Mode.PASS)

    return act


def blackhole(server: str) -> Act:
    """Connections stay and nothing moves, for less or more than a session."""

    def act(scene: Scene) -> Iterator[Struck]:
        proxy, seconds = scene.world.proxies[server], scene.dice.uniform(1, 8)
        proxy.switch(Mode.BLACKHOLE)
        try:
            yield Struck(f"for {seconds:.1f} s", seconds)
        finally:
            proxy.switch(Mode.PASS)

    return act


def cut(server: str) -> Act:
    """Every open connection is reset."""

    def act(scene: Scene) -> Iterator[Struck]:
        scene.world.proxies[server].cut()
        yield Struck("all connections")

    return act


def safe_mode(scene: Scene) -> Iterator[Struck]:
    hdfs = scene.world.sandbox.hdfs
    hdfs.safe_mode(True)
    try:
        yield Struck("namenode", scene.dice.uniform(1, 5))
    finally:
        hdfs.safe_mode(False)


def fill_space(scene: Scene) -> Iterator[Struck]:
    """The lake's quota is used up for some seconds."""
    scene.world.limit_space(True)
    try:
        yield Struck("lake", scene.dice.uniform(1, 4))
    finally:
        scene.world.limit_space(False)


def delete_records(scene: Scene) -> Iterator[Struck]:
    """Up to just below the committed offsets: nothing is lost by it."""
    state = scene.sight.state()
    if state is None or PLAIN not in state.topics:
        raise NoTarget
    back = scene.dice.randint(0, 20)
    before = {p: max(0, offset - back) for p, offset in state.topics[PLAIN].offsets.items()}
    scene.world.delete_records(before)
    yield Struck(f"{PLAIN} before the committed offsets - {back}")


def add_partition(scene: Scene) -> Iterator[Struck]:
    state = scene.sight.state()
    known = len(state.topics[PLAIN].offsets) if state and PLAIN in state.topics else PARTITIONS[PLAIN]
    if known >= MOST_PARTITIONS:
        raise NoTarget
    scene.world.add_partition(known + 1)
    yield Struck(f"{PLAIN}-{known}")
