"""An ensemble of three: a member that lags, hangs or is alone lets nobody write on what it remembers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from offsets.errors import FencedError, UnavailableError
from offsets.manager import OffsetManager, current_owner
from offsets.stores.zookeeper_store import ZookeeperStore
from offsets.structs import TopicState
from servers.cluster import Sandbox
from servers.daemon import wait_for
from servers.zookeeper_ensemble import ZooKeeperEnsemble
from tests.integration.jobs import SECONDS, Job, Process, Topics, once
from tests.takeover.drivers import Drivers
from tests.takeover.stores import contents

RECORDS = 4  # a partition
SESSION, DEADLINE = 10.0, 60.0


@pytest.fixture(scope="module")
def _servers(sandbox: Sandbox, java_home: Path) -> Iterator[ZooKeeperEnsemble]:
    made = ZooKeeperEnsemble(sandbox.data / "ensemble")
    yield made
    made.down(graceful=False)


@pytest.fixture
def ensemble(_servers: ZooKeeperEnsemble) -> ZooKeeperEnsemble:
    """All three members serve and hear each other."""
    _servers.heal()
    _servers.up()
    _servers.leader()
    return _servers


@pytest.fixture
def path() -> str:
    return f"/takeover/{uuid.uuid4().hex}"


class Unsynced(ZookeeperStore):
    """Without the one thing that makes a read current."""

    def _sync_and_get(self, zk: KazooClient) -> Any:
        return zk.get_async(self._register)


@pytest.fixture
def driver(path: str) -> Iterator[Callable[..., OffsetManager]]:
    """`driver(hosts, kind)`: one driver's hold on the register."""
    stores: list[ZookeeperStore] = []

    def make(hosts: str, kind: type[ZookeeperStore] = ZookeeperStore, deadline: float = DEADLINE) -> OffsetManager:
        stores.append(kind(f"zookeeper://{hosts}{path}", SESSION, deadline))
        return OffsetManager(stores[-1], current_owner(f"run {len(stores)}"))

    yield make
    for each in stores:
        each.close()


def test_a_stale_read_takes_nothing(ensemble: ZooKeeperEnsemble, driver: Callable[..., OffsetManager]) -> None:
    """What a follower that was cut off remembers may be read, but not taken: the compare-and-set is the barrier."""
    follower, leader = ensemble.followers()[0], ensemble.leader()
    other, late = driver(ensemble.host(leader)), driver(ensemble.host(follower), Unsynced)
    other.read()
    other.create("a" * 32, {"orders": TopicState("id", {0: 0})})
    wait_for(lambda: late.read() is not None, SECONDS, "the follower to know of it")
    ensemble.isolate(follower)
    taken = other.take()
    stale = late.read()
    assert stale is not None
    assert (stale.epoch, taken.epoch) == (0, 1), "the follower did not lag: this proves nothing"
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(late.take)
        ensemble.heal()
        with pytest.raises(FencedError):
            taking.result(SECONDS)
    assert driver(ensemble.hosts).read() == taken
    assert not other.changed()


def test_a_synced_read_is_never_stale(ensemble: ZooKeeperEnsemble, driver: Callable[..., OffsetManager]) -> None:
    """As drivers read, a follower that is cut off has no answer, rather than an old one; healed, it has the new one."""
    follower, leader = ensemble.followers()[0], ensemble.leader()
    other = driver(ensemble.host(leader))
    other.read()
    other.create("a" * 32, {"orders": TopicState("id", {0: 0})})
    hasty, patient = (driver(ensemble.host(follower), deadline=d) for d in (2.0, DEADLINE))
    for each in (hasty, patient):
        wait_for(partial(answered, each), SECONDS, "a session that outlives what comes")
    ensemble.isolate(follower)
    taken = other.take()
    with pytest.raises(UnavailableError):
        hasty.read()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(patient.read)
        ensemble.heal()
        assert reading.result(SECONDS) == taken


def answered(driver: OffsetManager) -> bool:
    try:
        return driver.read() is not None
    except UnavailableError:
        return False


@pytest.fixture
def filled(topics: Topics, job: Callable[..., Job], ensemble: ZooKeeperEnsemble, path: str, drivers: Drivers) -> Job:
    """A job with its register in the ensemble, of which a first launch has landed all there was; then came more."""
    topics.fill(topic := topics.create(), RECORDS, RECORDS)
    made = job(topic, offsets__store=f"zookeeper://{ensemble.hosts}{path}", offsets__session__timeout__ms="10000")
    assert_landed(drivers.run(made.path), made, RECORDS)
    topics.fill(topic, RECORDS, RECORDS)
    return made


def assert_landed(process: Process, job: Job, records: int) -> None:
    """It read to the end, and each record is there once."""
    assert process.status == 0, process.said
    assert job.landed() == once(job.settings["source.subscribe"], {0: (0, records), 1: (0, records)})
    assert job.register().pending is None


def test_a_stopped_follower_is_passed_over(ensemble: ZooKeeperEnsemble, filled: Job, drivers: Drivers) -> None:
    """One member takes connections and says nothing: launches find another one."""
    ensemble.members[ensemble.followers()[0]].stop()
    assert_landed(drivers.run(filled.path), filled, 2 * RECORDS)


@pytest.mark.full
def test_a_launch_at_an_isolated_follower(
    ensemble: ZooKeeperEnsemble, filled: Job, drivers: Drivers, path: str
) -> None:
    """Its member lags behind what another launch has committed: 69, and nothing is written; healed, it goes on."""
    follower = ensemble.followers()[0]
    ensemble.isolate(follower)
    hosts = ",".join(ensemble.host(n) for n in ensemble.members if n != follower)
    filled.write(offsets__store=f"zookeeper://{hosts}{path}")
    assert_landed(drivers.run(filled.path), filled, 2 * RECORDS)
    before = filled.register_bytes(), contents(filled)
    filled.write(offsets__store=f"zookeeper://{ensemble.host(follower)}{path}")
    late = drivers.run(filled.path)
    assert (late.status, len(late.complaints)) == (69, 1), late.said
    ensemble.heal()
    assert (filled.register_bytes(), contents(filled)) == before
    after = drivers.run(filled.path)
    assert (after.status, after.summary["exitReason"]) == (0, "nothing new"), after.said


@pytest.mark.full
def test_no_quorum_at_the_start(ensemble: ZooKeeperEnsemble, filled: Job, drivers: Drivers) -> None:
    """Two of three are dead: 69 in time and nothing is written; the next launch goes on once they are back."""
    before = filled.register_bytes(), contents(filled)
    ensemble.lose_quorum()
    ran = drivers.run(filled.path)
    assert (ran.status, len(ran.complaints)) == (69, 1), ran.said
    assert "no answer from ZooKeeper" in ran.complaints[0]
    ensemble.up()
    assert (filled.register_bytes(), contents(filled)) == before
    assert_landed(drivers.run(filled.path), filled, 2 * RECORDS)


@pytest.mark.full
@pytest.mark.parametrize("back", [True, False], ids=["back in time", "not back in time"])
def test_quorum_lost_in_mid_batch(ensemble: ZooKeeperEnsemble, filled: Job, drivers: Drivers, back: bool) -> None:
    """The run waits for a quorum, then goes on, or leaves with 69, having written nothing; all is landed once."""
    filled.gate()
    run = drivers.start(filled.path, "--available-now")
    filled.wait_in_flight()
    before = filled.register_bytes()
    ensemble.lose_quorum()
    filled.open_gate()
    if not back:
        assert run.wait().status == 69, run.said
    ensemble.up()
    if not back:
        assert filled.register_bytes() == before
    assert run.wait().status in (0, 69), run.said  # a busy machine may be slower than the deadline
    assert_landed(drivers.run(filled.path), filled, 2 * RECORDS)
