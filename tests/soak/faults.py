"""What the nemesis does: to processes of a launch, to servers, to connections, to the topics.

A fault strikes, says what it has struck and how long it lasts, and mends that when it is resumed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import psutil
from demonstration.launches import Launch

from servers.daemon import Daemon
from servers.proxy import Mode
from tests.soak.sight import Moment, Sight
from tests.soak.world import PARTITIONS, PLAIN, World

TAKEOVER_SECONDS = 60.0  # a launch to come, a session to expire, Spark to start
MOST_PARTITIONS = 8


class NoTarget(Exception):
    """There is nothing to strike now."""


class Struck(NamedTuple):
    """`target`: what; the fault lasts until `over`, for `seconds` at most.  `meanwhile`: others may strike as well."""

    target: str
    seconds: float = 0.0
    over: Callable[[], bool] = lambda: False
    meanwhile: bool = False


@dataclass(frozen=True)
class Scene:
    """What a fault finds: `moment` is None if no batch is in flight."""

    world: World
    sight: Sight
    moment: Moment | None
    launches: list[Launch]
    dice: random.Random


Act = Callable[[Scene], Iterator[Struck]]


@dataclass(frozen=True)
class Fault:
    """`weight`: how often, beside the others; `server`: needed for it."""

    weight: int
    act: Act
    server: str = "kafka"


def process(scene: Scene, victim: str) -> psutil.Process:
    """Of the launch whose batch is in flight."""
    found = scene.moment.launch.find(victim) if scene.moment else None
    if found is None:
        raise NoTarget
    return found


def kill(victim: str) -> Act:
    """SIGKILL."""

    def act(scene: Scene) -> Iterator[Struck]:
        target = process(scene, victim)
        target.kill()
        yield Struck(f"pid {target.pid}")

    return act


def terminate_driver(scene: Scene) -> Iterator[Struck]:
    """SIGTERM: it drains."""
    target = process(scene, "driver")
    target.terminate()
    yield Struck(f"pid {target.pid}")


def freeze_worker(scene: Scene) -> Iterator[Struck]:
    target = process(scene, "worker")
    target.suspend()
    try:
        yield Struck(f"pid {target.pid}", scene.dice.uniform(1, 6))
    finally:
        wake(target)


def freeze_driver(scene: Scene) -> Iterator[Struck]:
    """Past its session; it wakes up while another one has a batch in flight."""
    target, moment = process(scene, "driver"), scene.moment

    def taken_over() -> bool:
        other = scene.sight.moment(scene.launches)
        return other is not None and moment is not None and other.epoch > moment.epoch

    target.suspend()
    try:
        yield Struck(f"pid {target.pid}", TAKEOVER_SECONDS, taken_over, meanwhile=True)
    finally:
        wake(target)


def wake(target: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        target.resume()


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


FAULTS: Mapping[str, Fault] = {
    "kill driver": Fault(4, kill("driver")),
    "kill jvm": Fault(3, kill("jvm")),
    "kill worker": Fault(3, kill("worker")),
    "freeze driver": Fault(4, freeze_driver),
    "freeze worker": Fault(3, freeze_worker),
    "terminate driver": Fault(2, terminate_driver),
    "kill zookeeper": Fault(2, crash(lambda world: world.sandbox.zookeeper.server), "zookeeper"),
    "zookeeper loses replies": Fault(3, lose_replies("zookeeper"), "zookeeper"),
    "zookeeper silent": Fault(2, blackhole("zookeeper"), "zookeeper"),
    "kill namenode": Fault(2, crash(lambda world: world.sandbox.hdfs.namenode), "hdfs"),
    "kill datanode": Fault(2, crash(lambda world: world.sandbox.hdfs.datanode), "hdfs"),
    "namenode loses replies": Fault(3, lose_replies("hdfs"), "hdfs"),
    "namenode cut off": Fault(2, cut("hdfs"), "hdfs"),
    "safe mode": Fault(1, safe_mode, "hdfs"),
    "no space": Fault(1, fill_space, "hdfs"),
    "kill broker": Fault(2, crash(lambda world: world.sandbox.kafka.broker)),
    "delete records": Fault(2, delete_records),
    "add partition": Fault(1, add_partition),
}
