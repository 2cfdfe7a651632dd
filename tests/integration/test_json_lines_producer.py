"""The JSON-lines producer against a real broker."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from servers.kafka_server import Kafka
from tests.integration import produced
from tests.integration.produced import content, finish, logged, messages, places, wait_for_log


@pytest.fixture
def topic() -> str:
    return f"lines-{uuid.uuid4().hex[:8]}"


def start(kafka: Kafka, *options: str) -> subprocess.Popen[str]:
    return produced.start("produce_json_lines", kafka.bootstrap, *options)


def test_a_file(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """Each line is a record with its key and the headers; one key is in one partition, in order; the log is true."""
    lines = [json.dumps({"n": n, "customer": {"id": f"c{n % 7}"}}) for n in range(5000)]
    file, log = tmp_path / "orders.json", tmp_path / "log"
    file.write_text("\n".join(lines))
    options = ["--partitions", "3", "--key", "customer.id", "--headers", "source=shop=1", "--headers", "v=2"]
    status, summary, err = finish(
        start(kafka, str(file), "--topic", topic, *options, "--compression-type", "zstd", "--log", str(log))
    )
    assert (status, err, summary["acknowledged"], summary["malformed"]) == (0, "", 5000, 0)
    found = messages(kafka, topic)
    assert {place: lines[e["number"] - 1].encode() for place, e in places(logged(log)).items()} == {
        place: message.value() for place, message in found.items()
    }
    by_key: dict[bytes | str | None, list[tuple[int, int]]] = {}
    for (partition, _), message in sorted(found.items(), key=lambda each: each[0]):
        assert message.headers() == [("source", b"shop=1"), ("v", b"2")]
        by_key.setdefault(message.key(), []).append((partition, json.loads(message.value() or b"")["n"]))
    assert sorted(by_key) == [b"c%d" % n for n in range(7)]
    for key, pairs in by_key.items():
        assert len({partition for partition, _ in pairs}) == 1
        assert [n for _, n in pairs] == list(range(int(key[1:]), 5000, 7))  # type: ignore[index]


def test_a_malformed_line(kafka: Kafka, topic: str) -> None:
    """From stdin: it stops there and names the line, and what came before is in the topic; or it is left out."""
    text = '{"n":1}\n{"n":2}\noops\n{"n":4}\n'
    status, summary, err = finish(start(kafka, "-", "--topic", topic, "--partitions", "1"), text)
    assert (status, summary["acknowledged"], len(err.splitlines())) == (1, 2, 1)
    assert "line 3: " in err
    status, summary, err = finish(start(kafka, "-", "--topic", topic, "--skip-malformed"), text)
    assert (status, err, summary["acknowledged"], summary["malformed"]) == (0, "", 3, 1)
    assert list(content(kafka, topic).values()) == [b'{"n":%d}' % n for n in (1, 2, 1, 2, 4)]


@pytest.mark.full
def test_broker_gone(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """A broker that stays away ends the run with 69: what was on its way is unknown, what was acknowledged is there."""
    file, log = tmp_path / "orders.json", tmp_path / "log"
    file.write_text("".join(f'{{"n":{n}}}\n' for n in range(500_000)))
    options = ["--partitions", "2", "--rate", "20000", "--timeout", "3", "--log", str(log)]
    producer = start(kafka, str(file), "--topic", topic, *options)
    wait_for_log(log)
    kafka.broker.kill()
    status, summary, err = finish(producer)
    kafka.broker.restart()
    entries, found = logged(log), content(kafka, topic)
    assert (status, len(err.splitlines())) == (69, 1)
    assert summary["records"] == len(entries) == summary["acknowledged"] + summary["unknown"]
    claims = {place: b'{"n":%d}' % (e["number"] - 1) for place, e in places(entries).items()}
    assert claims.items() <= found.items()
    unknown = {b'{"n":%d}' % (e["number"] - 1) for e in entries if e["outcome"] == "unknown"}
    assert unknown
    assert {found[place] for place in found.keys() - claims.keys()} <= unknown


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--topic", "t", "--producer-property", "acks=none-such"], "acks"),
        (["--topic", "t", "--acks", "1", "--enable-idempotence"], "acks"),
        (["--topic", "t", "--command-config", "none-such"], "none-such"),
        (["--topic", "none-such"], "--partitions"),
    ],
)
def test_wrong_options(kafka: Kafka, options: list[str], word: str) -> None:
    """One line that names what is wrong, exit 2, nothing sent."""
    status, summary, err = finish(start(kafka, "-", *options))
    assert (status, summary, len(err.splitlines())) == (2, {}, 1)
    assert word in err
