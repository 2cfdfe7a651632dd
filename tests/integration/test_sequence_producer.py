"""The sequence producer against a real broker: what is committed counts up without a gap, whatever happened."""

from __future__ import annotations

import signal
import subprocess
import threading
import uuid
from pathlib import Path

import orjson
import pytest

from producers.sequence import number_of
from servers.kafka_server import Kafka
from tests.integration import produced
from tests.integration.produced import finish, logged, messages, places, wait_for_log


@pytest.fixture
def topic() -> str:
    return f"numbers-{uuid.uuid4().hex[:8]}"


def start(kafka: Kafka, topic: str, *options: str) -> subprocess.Popen[str]:
    return produced.start("produce_sequence", kafka.bootstrap, "--topic", topic, "--partitions", "2", *options)


def numbers(kafka: Kafka, topic: str) -> dict[int, list[int]]:
    """By partition, in the order of the log; no record is of a transaction that was not committed."""
    found: dict[int, list[int]] = {0: [], 1: []}
    for (partition, _), message in sorted(messages(kafka, topic).items(), key=lambda each: each[0]):
        value = message.value()
        assert value is None or "aborted" not in orjson.loads(value)
        found[partition].append(number_of(value, dict(message.headers() or ())))  # type: ignore[arg-type]
    return found


def assert_no_gap(found: dict[int, list[int]]) -> None:
    assert all(each == list(range(len(each))) for each in found.values())


def test_transactions(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """Aborted and open transactions are in the log and never seen; the numbers go on after them."""
    log = tmp_path / "log"
    options = ["--records", "1000", "--transactional", "100", "--tombstones", "0.1", "--keys", "10"]
    status, summary, err = finish(
        start(kafka, topic, *options, "--abort-every", "3", "--leave-open", "--log", str(log))
    )
    assert (status, err, summary["acknowledged"], summary["aborted"]) == (0, "", 1000, 500)
    assert summary["partitions"] == {str(p): {"first": 0, "committed": 500} for p in (0, 1)}
    committed, everything = messages(kafka, topic), messages(kafka, topic, "read_uncommitted")
    entries = logged(log)
    assert places(entries).keys() == committed.keys()
    assert places(entries, "aborted").keys() == everything.keys() - committed.keys()
    assert sum(message.value() is None for message in committed.values()) == 100
    assert {message.key() for message in committed.values()} == {b"%d" % n for n in range(10)}
    assert_no_gap(numbers(kafka, topic))

    status, _, err = finish(start(kafka, topic))
    assert (status, err.count("\n")) == (1, 1)
    assert "a transaction is open" in err, "its end is not known yet, and neither is the next number"

    status, summary, err = finish(start(kafka, topic, *options))
    assert (status, err, summary["partitions"]["1"]) == (0, "", {"first": 500, "committed": 500})
    found = numbers(kafka, topic)
    assert_no_gap(found)
    assert [len(each) for each in found.values()] == [1000, 1000]


@pytest.mark.parametrize("mode", [[], ["--transactional", "50", "--abort-every", "4"]])
def test_killed_and_started_again(kafka: Kafka, topic: str, tmp_path: Path, mode: list[str]) -> None:
    """SIGKILL in the middle: the next run goes on where the committed records end."""
    log = tmp_path / "log"
    killed = start(kafka, topic, *mode, "--records", "500000", "--rate", "5000", "--log", str(log))
    wait_for_log(log)
    killed.send_signal(signal.SIGKILL)
    finish(killed)
    before = {p: len(each) for p, each in numbers(kafka, topic).items()}
    status, summary, err = finish(start(kafka, topic, *mode, "--records", "1000"))
    assert (status, err) == (0, "")
    found = numbers(kafka, topic)
    assert_no_gap(found)
    for partition, each in found.items():  # a commit that was under way may have come after `before` was read
        assert summary["partitions"][str(partition)] == {"first": len(each) - 500, "committed": 500}
        assert len(each) >= before[partition] + 500


@pytest.mark.full
def test_broker_killed_and_back(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """A broker that is killed in mid-run and comes back costs no number, in transactions and outside."""
    logs = [tmp_path / "plain", tmp_path / "transactional"]
    options = ["--records", "60000", "--rate", "15000", "--timeout", "60"]
    topics = [topic, f"{topic}-t"]
    modes: list[list[str]] = [[], ["--transactional", "1000"]]
    runs = [start(kafka, t, *options, *m, "--log", str(log)) for t, m, log in zip(topics, modes, logs, strict=True)]
    for log in logs:
        wait_for_log(log)
    kafka.broker.kill()
    restart = threading.Thread(target=kafka.broker.restart)
    restart.start()
    outcomes = [finish(run) for run in runs]
    restart.join()
    for (status, summary, err), name in zip(outcomes, topics, strict=True):
        assert (status, err, summary["acknowledged"]) == (0, "", 60_000), summary
        found = numbers(kafka, name)
        assert_no_gap(found)
        assert [len(each) for each in found.values()] == [30_000, 30_000]


@pytest.mark.parametrize(
    "options",
    [["--leave-open"], ["--abort-every", "3"], ["--transactional", "5", "--abort-every", "1"]],
)
def test_wrong_options(options: list[str]) -> None:
    """What makes no sense together is refused before any connection."""
    run = produced.start("produce_sequence", "127.0.0.1:1", "--topic", "t", *options)
    status, _, err = finish(run)
    assert status == 2
    assert options[-1].lstrip("-") in err or "--abort-every" in err


def test_what_would_leave_gaps_is_refused(kafka: Kafka, topic: str) -> None:
    """A sequence is nothing without acknowledgements and idempotence; a foreign topic has no next number."""
    for wrong in "acks=1", "enable.idempotence=false", "transactional.id=x":
        status, _, err = finish(start(kafka, topic, "--producer-property", wrong))
        assert (status, wrong.split("=")[0] in err) == (2, True)
    produced.finish(
        produced.start("produce_json_lines", kafka.bootstrap, "-", "--topic", topic, "--partitions", "2"), "{}"
    )
    status, _, err = finish(start(kafka, topic))
    assert (status, "--start" in err) == (1, True)
