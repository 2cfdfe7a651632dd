"""Topics of transactions with the producer's log, for the tests that count; a bench for the tuples."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demonstration.launches import ROOT, environment

from servers.hdfs_server import Hdfs
from servers.kafka_server import Kafka
from servers.zookeeper_server import ZooKeeper
from tests.crash.plain.fixtures import open_bench
from tests.crash.plain.running import Bench
from tests.crash.seed import SEED


@pytest.fixture
def produced(kafka: Kafka, tmp_path: Path) -> Callable[[int], tuple[str, Path]]:
    """`produced(records)`: a new topic of 4 partitions with so many transactions, and the producer's log."""

    def produce(records: int) -> tuple[str, Path]:
        topic, log = f"transactions-{tmp_path.name}", tmp_path / "produced.jsonl"
        command = [sys.executable, str(ROOT / "scripts" / "produce_transactions.py")]
        command += ["--bootstrap-server", kafka.bootstrap, "--topic", topic, "--partitions", "4"]
        command += ["--records", str(records), "--malformed", "0.01", "--log", str(log)]
        subprocess.run(command, check=True, capture_output=True, env=environment())
        return topic, log

    return produce


@pytest.fixture(scope="session")
def bench(kafka: Kafka, zookeeper: ZooKeeper, hdfs: Hdfs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Servers, and the one topic that all tuples read."""
    with open_bench(kafka, zookeeper, hdfs, tmp_path_factory.mktemp("tuples")) as bench:
        yield bench


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"the tenth of the crash suite's tuples was that of CRASH_SEED={SEED}")
