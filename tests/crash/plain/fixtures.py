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
    with planted_side_by_side(bench, ((case, "") for case in cases)) as futures:
        yield {case.id: future for (case, _), future in futures.items()}


@contextmanager
def planted_side_by_side(
    bench: Bench, cases: Iterable[tuple[Tuple, str]]
) -> Iterator[dict[tuple[Tuple, str], Future[Outcome]]]:
    """The same of tuples with what is planted in them: names of `tests.crash.planted`, joined by +, or none."""
    listed = list(cases)
    crews: queue.SimpleQueue[Crew] = queue.SimpleQueue()
    made = [Crew() for _ in range(min(AT_ONCE, len(listed)))]
    for crew in made:
        crews.put(crew)

    def run(case: Tuple, planted: str) -> Outcome:
        crew = crews.get()
        try:
            return run_tuple(bench, crew, case, planted and f"tests.crash.planted:{planted}")
        finally:
            crews.put(crew)

    with ThreadPoolExecutor(max(len(made), 1)) as pool:
        try:
            yield {each: pool.submit(run, *each) for each in listed}
        finally:
            pool.shutdown(cancel_futures=True)
            for crew in made:
                crew.close()
