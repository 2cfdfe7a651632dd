"""What runs tuples side by side: a bench for all, and as many crews as there may be tuples under way."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from kazoo.client import KazooClient

from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.zookeeper_server import ZooKeeper
from tests.crash.plain.crew import Crew
from tests.crash.plain.running import Bench, Outcome, Tuple, run_tuple
from tests.crash.plain.topic import produce

AT_ONCE = 8  # they wait for most of the time, for sessions to expire


@contextmanager
def open_bench(kafka: Kafka, zookeeper: ZooKeeper, hdfs: Hdfs, folder: Path) -> Iterator[Bench]:
    """`folder`: of this bench alone, also by its name."""
    client = KazooClient(zookeeper.hosts, timeout=30)
    client.start()
    try:
        produced = produce(kafka.bootstrap, f"crash-{uuid.uuid4().hex}")
        yield Bench(kafka.bootstrap, produced, zookeeper.hosts, hdfs.webhdfs, folder, client)
    finally:
        client.stop()
        client.close()


@contextmanager
def side_by_side(bench: Bench, cases: Iterable[Tuple]) -> Iterator[dict[str, Future[Outcome]]]:
    """By id, what will have come of each.  For the main thread."""
    listed = list(cases)
    crews: queue.SimpleQueue[Crew] = queue.SimpleQueue()
    made = [Crew() for _ in range(min(AT_ONCE, len(listed)))]
    for crew in made:
        crews.put(crew)

    def run(case: Tuple) -> Outcome:
        crew = crews.get()
        try:
            return run_tuple(bench, crew, case)
        finally:
            crews.put(crew)

    with ThreadPoolExecutor(max(len(made), 1)) as pool:
        try:
            yield {case.id: pool.submit(run, case) for case in listed}
        finally:
            pool.shutdown(cancel_futures=True)
            for crew in made:
                crew.close()
