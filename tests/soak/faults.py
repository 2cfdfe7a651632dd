"""The table of faults: what the nemesis does, and how often.

A fault strikes, says what it has struck and how long that lasts, and mends it when it is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.soak.outages import (
    add_partition,
    blackhole,
    crash,
    cut,
    delete_records,
    fill_space,
    lose_replies,
    safe_mode,
)
from tests.soak.processes import freeze_driver, freeze_worker, kill, terminate_driver
from tests.soak.scene import Act


@dataclass(frozen=True)
class Fault:
    """`weight`: how often, beside the others; `server`: needed for it."""

    weight: int
    act: Act
    server: str = "kafka"


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
