"""A job that writes into a table of PostgreSQL, its topic, and what an onlooker finds in the table.  No Spark."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from offsets.codec import decode_state
from offsets.stores import open_store
from offsets.structs import State
from servers.postgres_server import Postgres
from tests.crash.plain.bench import JOB
from tests.crash.plain.sql_sinks import TABLE
from tests.crash.plain.topic import make

PARTITIONS = 4
Place = tuple[int, int]  # partition, offset


@dataclass(frozen=True)
class Topic:
    """`name` holds `records`, spread evenly; the value of each is "partition:offset"."""

    name: str
    records: int

    @property
    def places(self) -> Iterator[Place]:
        return ((p, o) for p in range(PARTITIONS) for o in range(self.records // PARTITIONS))


def fill(bootstrap: str, records: int) -> Topic:
    """Makes the topic.  One producer without retries, so offsets count up from 0."""
    topic = Topic(f"sql-{uuid.uuid4().hex}", records)
    make(bootstrap, topic.name, PARTITIONS)
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20})
    for number, (partition, offset) in enumerate(topic.places):
        producer.produce(topic.name, f"{partition}:{offset}", str(offset), partition)
        if number % 10_000 == 0:
            producer.poll(0)
        while len(producer) > 90_000:
            producer.poll(0.1)
    assert producer.flush(60) == 0
    return topic


@dataclass
class World:
    """One job over one topic; its register and its table are in a database of its own."""

    postgres: Postgres
    topic: Topic
    folder: Path
    name: str  # of the database

    def lay_out(self, bootstrap: str, sink: str, guarantee: str, batch: int) -> str:
        """The job file."""
        self.folder.mkdir()
        self.url = self.postgres.database(self.name)
        with closing(self.postgres.connect(self.name)) as connection:
            connection.execute(TABLE)
        job = self.folder / "crash.cfg"
        job.with_suffix(".url").write_text(self.url)
        named = {"name": self.name, "function": "", "guarantee": guarantee, "topic": self.topic.name, "batch": batch}
        places = {"bootstrap": bootstrap, "store": self.store, "sink": f"file://{self.folder}/lake"}
        job.write_text(JOB.format(**named, **places, more=f"class = tests.crash.plain.sql_sinks:{sink}"))
        return str(job)

    @property
    def store(self) -> str:
        return f"{self.url}?register=crash"

    def states(self, limit: int) -> list[State]:
        """Of the register, newest first."""
        with closing(open_store(self.store)) as store:
            return [decode_state(kept.state, self.store, "crash.cfg") for kept in store.states(limit)]

    def received(self) -> Counter[Place]:
        """How often each record is in the table.  Its content is what was produced there."""
        with closing(self.postgres.connect(self.name)) as connection:
            rows = connection.execute("SELECT p, o, key, value FROM received").fetchall()
        assert [row for row in rows if row[2:] != (str(row[1]), f"{row[0]}:{row[1]}")] == []
        return Counter((p, o) for p, o, *_ in rows)

    def ahead(self) -> int:
        """How many more rows there are than records below the committed offsets."""
        with closing(self.postgres.connect(self.name)) as connection:
            (rows,) = connection.execute("SELECT count(*) FROM received").fetchone() or (0,)
        return int(rows) - sum(sum(offsets(state).values()) for state in self.states(1))

    def staged(self) -> list[str]:
        """The tables that tasks have left."""
        with closing(self.postgres.connect(self.name)) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'kds_staged%'").fetchall()
        return [name for (name,) in found]


def offsets(state: State) -> Mapping[int, int]:
    """Of the only topic."""
    (topic,) = state.topics.values()
    return topic.offsets
