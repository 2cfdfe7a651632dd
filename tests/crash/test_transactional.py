"""Rows in PostgreSQL and their offsets, whatever is killed: in one transaction the table equals the topic.

Without it, what the weaker guarantees permit happens in the batch in flight and nowhere else.
"""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from demonstration.launches import Launch, kill

from offsets.structs import State
from servers.kafka_server import Kafka
from servers.postgres_server import Postgres
from streaming.commands.verify_output import main as verify
from tests.crash.plain.crew import Crew
from tests.crash.plain.faults import Fault
from tests.crash.plain.sql_world import Topic, World, fill, offsets
from tests.crash.seed import SEED

BATCH = 3_000  # offsets, of which the kills need fewer than there are
FEW, SOME, MANY = 1_200, 60_000, 300_000  # records
VICTIMS = ("driver", "jvm", "worker")
# Beside the job file, so that the run ships it.
LEDGER = """
from streaming.sinks.sql import SqlSink

class Ledger(SqlSink):
    url = {url!r}
    table = "received"

    def row(self, record):
        return {{"p": record.partition, "o": record.offset, "key": record.key.decode(), "value": record.value.decode()}}
"""
MakeWorld = Callable[[Topic], World]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


@pytest.fixture(scope="module")
def few(kafka: Kafka) -> Topic:
    return fill(kafka.bootstrap, FEW)


@pytest.fixture(scope="module")
def many(kafka: Kafka) -> Topic:
    return fill(kafka.bootstrap, MANY)


@pytest.fixture
def world(postgres: Postgres, tmp_path: Path) -> MakeWorld:
    return lambda topic: World(postgres, topic, tmp_path / "job", f"crash_{uuid.uuid4().hex}")


def test_table_equals_topic_wherever_it_is_killed(kafka: Kafka, crew: Crew, few: Topic, world: MakeWorld) -> None:
    """Rows staged, rows in the open transaction, the transaction done and nobody told: all once, and nothing left."""
    here = world(few)
    job = here.lay_out(kafka.bootstrap, "RowsDie", "exactly-once", batch=240)
    # A commit is a launch's second write: killed before its transaction, within (None), and with nobody told of it.
    deaths = (
        Fault("task.return", "kill", 6),
        None,
        Fault("replace.before", "kill", 2),
        Fault("replace.after", "kill", 2),
    )
    seqs = []
    for fault in deaths:
        if fault is None:
            strike(job, signal.SIGKILL)
        assert crew.wait(crew.start(job, fault)) == -signal.SIGKILL, crew.said()
        (state,) = here.states(1)
        assert state.pending is None
        assert here.received().keys() == {(p, o) for p, until in offsets(state).items() for o in range(until)}
        seqs.append(state.seq)
    assert seqs == [1, 1, 1, 2]
    assert crew.wait(crew.start(job)) == 0, crew.said()
    assert here.received() == dict.fromkeys(few.places, 1)
    assert here.staged() == []
    assert verify("", [job]) == 0  # also of a batch whose driver died before it could log it


def strike(job: str, number: int) -> None:
    """Lets the next launch have this signal with its rows in an open transaction."""
    Path(job).with_suffix(".signal").write_text(str(int(number)))


@pytest.mark.full
def test_frozen_in_its_transaction(kafka: Kafka, crew: Crew, few: Topic, world: MakeWorld) -> None:
    """The server ends the transaction of a driver that stands still; another takes over, and the first is fenced."""
    here = world(few)
    job = here.lay_out(kafka.bootstrap, "RowsDie", "exactly-once", batch=240)
    strike(job, signal.SIGSTOP)
    frozen = crew.start(job)
    assert crew.wait(frozen) is None, crew.said()
    assert crew.wait(crew.start(job)) == 0, crew.said()
    crew.wake(frozen)
    assert crew.wait(frozen) == 75, crew.said()
    assert here.received() == dict.fromkeys(few.places, 1)
    assert here.staged() == []


@dataclass
class Hunt:
    """Kills launches, every other time with a batch in flight for sure; `states`: the register after each kill.

    In flight: staged rows lie there, or without a transaction the rows are more or fewer than at the launch.
    """

    world: World
    crew: Crew
    job: str
    random: random.Random
    transactional: bool
    states: list[list[State]] = field(default_factory=list)  # newest first
    staged: int = 0  # kills that have left staged rows

    def run(self, kills: int) -> None:
        """`kills` of them, then a launch that ends by itself."""
        while len(self.states) < kills:
            ahead = 0 if self.transactional else self.world.ahead()
            pid = self.crew.start(self.job)
            self._wait_for(self._has_taken)
            if len(self.states) % 2:
                self._wait_for(partial(self._in_flight, ahead))
            time.sleep(self.random.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
            assert self.crew.wait(pid) == -signal.SIGKILL, self.crew.said()
            self.states.append(self.world.states(3))
            self.staged += bool(self.world.staged())
        assert not self.finished(), "it was done before the last kill"
        assert self.crew.wait(self.crew.start(self.job)) == 0, self.crew.said()

    def finished(self) -> bool:
        return sum(offsets(self.states[-1][0]).values()) == self.world.topic.records

    def _has_taken(self) -> bool:
        epoch = self.states[-1][0].epoch if self.states else 0
        return any(state.epoch > epoch for state in self.world.states(1))

    def _in_flight(self, ahead: int) -> bool:
        return bool(self.world.staged()) if self.transactional else self.world.ahead() != ahead

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, self.crew.said()
            time.sleep(0.01)


def hunted(world: World, crew: Crew, kafka: Kafka, sink: str, guarantee: str, batch: int, kills: int) -> Hunt:
    job = world.lay_out(kafka.bootstrap, sink, guarantee, batch)
    hunt = Hunt(world, crew, job, random.Random(SEED), guarantee == "exactly-once")
    hunt.run(kills)
    return hunt


@pytest.mark.full
@pytest.mark.timeout(900)
def test_thirty_kills(kafka: Kafka, crew: Crew, many: Topic, world: MakeWorld) -> None:
    """300,000 records under exactly-once and 30 kills at any moment: the table is the topic, and nothing is left."""
    hunt = hunted(world(many), crew, kafka, "Rows", "exactly-once", BATCH, 30)
    print(f"{hunt.staged} of 30 kills have left staged rows; seed {SEED}")
    assert hunt.staged > 5
    assert hunt.world.received() == dict.fromkeys(many.places, 1)
    assert hunt.world.staged() == []


@pytest.mark.full
@pytest.mark.timeout(900)
def test_kills_on_spark(kafka: Kafka, world: MakeWorld) -> None:
    """Through spark-submit, three drivers, JVMs and workers die while rows are staged: the table is the topic."""
    here, dice, killed = world(fill(kafka.bootstrap, SOME)), random.Random(SEED), 0
    job = Path(here.lay_out(kafka.bootstrap, "Rows", "exactly-once", 2_400))
    job.with_name("ledger.py").write_text(LEDGER.format(url=here.url))
    told = job.read_text().replace("tests.crash.plain.sql_sinks:Rows", "ledger:Ledger")
    job.write_text(told + "\n[spark]\nspark.master = local[2,4]\nspark.ui.enabled = false\n")
    launch = None
    try:
        for victim in VICTIMS * 3:
            if launch is None or not launch.running:
                launch = Launch(job, job.with_suffix(f".{killed}.log"), "--available-now")
            pid = kill(launch, victim, lambda: dice.random() < 0.5 and bool(here.staged()))
            assert pid is not None, launch.output
            killed += 1
            if victim != "worker":
                launch.wait_gone(30)
        assert launch is not None
        assert launch.wait() == 0, launch.output
    finally:
        if launch is not None:
            launch.end()
    assert here.received() == dict.fromkeys(here.topic.places, 1)
    assert here.staged() == []


@pytest.mark.full
@pytest.mark.timeout(900)
def test_at_least_once_doubles_what_was_in_flight(kafka: Kafka, crew: Crew, many: Topic, world: MakeWorld) -> None:
    """Nothing is lost; what is there twice was in the batch that a kill interrupted."""
    hunt = hunted(world(many), crew, kafka, "RowsAlone", "at-least-once", BATCH, 20)
    found = hunt.world.received()
    doubled = {place for place, times in found.items() if times > 1}
    assert set(found) == set(many.places)
    assert doubled, f"no kill has hit a batch in flight; seed {SEED}"
    starts = [offsets(states[0]) for states in hunt.states]
    assert not {
        place for place in doubled if not any(start[place[0]] <= place[1] < start[place[0]] + BATCH for start in starts)
    }


@pytest.mark.full
@pytest.mark.timeout(900)
def test_at_most_once_loses_what_was_in_flight(kafka: Kafka, crew: Crew, many: Topic, world: MakeWorld) -> None:
    """Nothing is there twice; what is missing was in the batch that a kill interrupted."""
    hunt = hunted(world(many), crew, kafka, "RowsAlone", "at-most-once", BATCH, 20)
    found = hunt.world.received()
    lost = set(many.places) - set(found)
    assert set(found.values()) == {1}
    assert lost, f"no kill has hit a batch in flight; seed {SEED}"
    spans = [(offsets(now), offsets(before)) for now, before, *_ in hunt.states]
    assert not {
        place for place in lost if not any(before[place[0]] <= place[1] < now[place[0]] for now, before in spans)
    }
