"""Faults of a launch's own processes: killed, terminated, frozen and woken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil

from tests.soak.scene import Act, NoTarget, Scene, Struck

TAKEOVER_SECONDS = 60.0  # a launch to come, a session to expire, Spark to start


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
