"""Topics of transactions with the producer's log, for the tests that count."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from demonstration.launches import ROOT, environment

from servers.kafka_server import Kafka


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
