"""One run of a script of the product in a process that was forked from the zygote: all but Spark is the real thing.

In Spark's place a loop asks the Runner for a batch and hands it an RDD look-alike, whose tasks run here, one by one.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar

import streaming.run.batches
from offsets import failpoints
from streaming.run.runner import Runner
from tests.crash.plain.faults import Fault, Trap
from tests.crash.plain.places import Folder
from tests.crash.plain.sinks import PLACE, place

T = TypeVar("T")
R = TypeVar("R")


class Rdd(Generic[T]):
    """What the product uses of an RDD with one element in each partition."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items

    def mapPartitions(self, task: Callable[[Iterable[T]], Iterator[R]]) -> Rdd[R]:
        return Rdd([result for item in self._items for result in task([item])])

    def collect(self) -> list[T]:
        return list(self._items)


@contextmanager
def no_spark(*_: Any) -> Iterator[None]:
    """In place of `streaming.run.session.spark`."""
    yield


def run_batches(_: None, runner: Runner) -> None:
    """In place of `streaming.run.session.run_batches`: ticks without a pause."""
    while not (runner.reason or runner.failure):
        time = datetime.now()
        if ranges := runner.plan(time):
            runner.run_batch(time, Rdd(ranges))  # type: ignore[arg-type]


def launch(told: Mapping[str, Any]) -> int:
    """`told`: `script`, `job`, `more` arguments, perhaps `fault`, `consumed` (a sink to move files from), `planted`."""
    streaming.run.batches.spark = no_spark  # type: ignore[assignment]
    streaming.run.batches.run_batches = run_batches  # type: ignore[assignment]
    if planted := told.get("planted"):
        module, _, name = planted.partition(":")
        getattr(importlib.import_module(module), name)()
    os.environ[PLACE] = place(told["job"])
    fault = Fault(**told["fault"]) if told.get("fault") else None
    consumed = told.get("consumed")
    failpoints.arm(Trap(fault, Folder(consumed).consume if consumed else None))
    script = importlib.import_module(f"streaming.commands.{told['script']}")
    status: int = script.main("", [told["job"], *told["more"]])
    return status


def run(told: Mapping[str, Any]) -> None:
    """Never returns."""
    status = 70
    try:
        status = launch(told)
    except SystemExit as e:  # of argparse
        status = int(e.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
