"""A job's client properties for kafka-python, and what is told where one of the two clients is not installed."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer, KafkaException
from kafka import KafkaAdminClient, KafkaConsumer

from offsets.errors import ConfigError, StreamError, UnavailableError
from streaming.config.reading import load
from streaming.fetching.kafka_python import ConsumedMessage
from streaming.fetching.kafka_python_properties import _NAMES, connection, consumer, unmatched_properties
from streaming.fetching.source import CLIENTS, KAFKA_PYTHON, Client, open_source

SECURED = {
    "bootstrap.servers": "b1:9092, b2:9092",
    "group.id": "team",
    "security.protocol": "sasl_ssl",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "u",
    "sasl.password": "p",
    "ssl.ca.location": "/etc/ca.pem",
    "ssl.endpoint.identification.algorithm": "none",
    "fetch.wait.max.ms": "77",
}
JOB = """
[job]
name = orders
[source]
subscribe = orders
startingOffsets = earliest
client = kafka-python
[kafka]
bootstrap.servers = localhost:9092
linger.ms = 5
statistics.interval.ms = 5
ssl.endpoint.identification.algorithm = none
[offsets]
store = file:///tmp/orders
[sink]
path = file:///tmp/lake
"""


def test_what_a_consumer_is_built_with() -> None:
    """kafka-python's names and types; what the promise rests on is always set, whatever the job says."""
    config = consumer({**SECURED, "isolation.level": "read_committed", "check.crcs": "true"})
    assert config["bootstrap_servers"] == ["b1:9092", "b2:9092"]
    assert (config["security_protocol"], config["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (config["sasl_plain_username"], config["sasl_plain_password"]) == ("u", "p")
    assert (config["ssl_cafile"], config["ssl_check_hostname"]) == ("/etc/ca.pem", False)
    assert config["fetch_max_wait_ms"] == 77
    assert (config["group_id"], config["isolation_level"], config["auto_offset_reset"]) == (
        None,
        "read_committed",
        "none",
    )
    assert (config["check_crcs"], config["enable_auto_commit"]) == (True, False)
    assert config["allow_auto_create_topics"] is False


def test_every_name_is_one_of_kafka_pythons() -> None:
    """Of its consumer, and of its admin client, which takes fewer."""
    assert {name for name, _ in _NAMES.values()} | consumer({}).keys() <= KafkaConsumer.DEFAULT_CONFIG.keys()
    values = {name: "1" for name in _NAMES}
    assert connection(values).keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys()
    assert {"sasl_plain_password", "ssl_cafile", "bootstrap_servers"} <= connection(values).keys()


def complaint(name: str) -> str:
    try:
        Consumer({"group.id": "x", name: "1"}).close()
    except KafkaException as e:
        return str(e)
    return ""


@pytest.mark.parametrize("name", _NAMES)
def test_every_name_is_one_of_librdkafkas(name: str) -> None:
    """The driver uses the same properties with librdkafka, which tells a wrong name from a wrong value."""
    assert "No such configuration property" not in complaint(name)
    assert "No such configuration property" in complaint("bootstrap_servers")


@pytest.mark.parametrize(
    ("name", "value"),
    [("socket.keepalive.enable", "true"), ("sasl.kerberos.keytab", "/k"), ("sasl.mechanism", "OAUTHBEARER")],
)
def test_what_has_no_counterpart_is_refused(name: str, value: str) -> None:
    """By name, without its value."""
    (problem,) = unmatched_properties({**SECURED, name: value})
    assert problem.startswith(f"{name}: kafka-python ")
    assert value not in problem


def test_refused_with_the_rest_of_the_job() -> None:
    """At config time, and only for a job that reads with kafka-python."""
    with pytest.raises(ConfigError) as caught:
        load("job.cfg", JOB)
    assert [p.partition(": ")[0] for p in caught.value.problems] == ["kafka.linger.ms", "kafka.statistics.interval.ms"]
    load("job.cfg", JOB, ["source.client=confluent-kafka"])


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it, and the setting that does without."""
    for module in ("kafka", "confluent_kafka"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, CLIENTS[name], raising=False)
    with pytest.raises(StreamError, match=f"{name} cannot be imported where the tasks run") as caught:
        open_source(Client(name, {}), 1.0)
    (other,) = CLIENTS.keys() - {name}
    assert f"[source] client = {other}" in caught.value.remedy


@pytest.mark.parametrize("missing", ["confluent_kafka", "kafka"])
def test_a_task_needs_one_client_only(missing: str) -> None:
    """An executor without one of the wheels imports all that a task is made of."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; import streaming.tasks.task; "
        "print('confluent_kafka' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_answers() -> None:
    """A new consumer waits no longer than it may."""
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"within 0\.3 s"):
        open_source(Client(KAFKA_PYTHON, {"bootstrap.servers": "127.0.0.1:1"}), 0.3)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("kind", "time_ms", "expected"), [(0, 7, (1, 7)), (1, 7, (2, 7)), (None, None, (0, -1)), (0, -1, (1, -1))]
)
def test_times_as_librdkafka_numbers_them(kind: int | None, time_ms: int | None, expected: tuple[int, int]) -> None:
    """0 none, 1 when it was made, 2 when the log took it."""
    message = ConsumedMessage(SimpleNamespace(timestamp_type=kind, timestamp=time_ms, headers=[]))
    assert message.timestamp() == expected
    assert message.headers() is None
