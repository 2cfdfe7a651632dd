"""Client properties: what a job may set, and what a consumer is built with.  Contacts nobody."""

from __future__ import annotations

import pytest

from streaming.source.client import ENFORCED, consumer_config, open_admin, refused_properties

SERVERS = {"bootstrap.servers": "broker1:9092,broker2:9092"}


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"client.id": "x", "group.id": "team-7", "fetch.min.bytes": "1", "socket.keepalive.enable": "true"},
        {"auto.offset.reset": "none"},
        {"isolation.level": "read_committed", "enable.auto.commit": "false"},
        {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "u",
            "sasl.password": "p",
        },
    ],
)
def test_allowed(allowed: dict[str, str]) -> None:
    """Properties of librdkafka pass, and so do the enforced values when spelled out."""
    assert refused_properties({**SERVERS, **allowed}) == []


def test_what_a_consumer_may_have_an_admin_client_takes() -> None:
    """`auto.offset.reset = none`, the Java client's word, is allowed, and librdkafka itself knows no such value."""
    open_admin({**SERVERS, "auto.offset.reset": "none", "isolation.level": "read_committed"}, lambda error: None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auto.offset.reset", "latest"),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "true"),
        ("isolation.level", "read_uncommitted"),
        ("check.crcs", "false"),
        ("receive.message.max.bytes", "1000000"),
        ("group.instance.id", "x"),
        ("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer"),
        ("sasl.jaas.config", "x"),
        ("plugin.library.paths", "/tmp/x.so"),
        ("error_cb", "x"),
        ("fetch.wait.max.ms", "soon"),
        ("fetch.wait.max", "1"),
        ("security.protocol", "tls"),
        ("security.protocol", "SASL_SSL"),
    ],
)
def test_refused(name: str, value: str) -> None:
    """What would break the promise, is not librdkafka's, or cannot work, is named with the reason."""
    (problem,) = refused_properties({**SERVERS, name: value})
    assert problem.startswith(f"{name}: ")
    assert len(problem) > len(name) + 10


def test_all_at_once_without_values() -> None:
    """All mistakes are reported together, and no value is repeated: it may be a secret."""
    problems = refused_properties({"sasl.pasword": "geheim", "isolation.level": "read_uncommitted", "no.such": "x"})
    assert [p.partition(":")[0] for p in problems] == ["isolation.level", "no.such", "sasl.pasword"]
    assert "geheim" not in " ".join(problems)


def test_consumer_config() -> None:
    """A job's properties beat our defaults; the enforced ones beat the job's; the group is Spark's own kind of name."""
    config = consumer_config({**SERVERS, "group.id": "team", "fetch.wait.max.ms": "77", "auto.offset.reset": "latest"})
    assert config["fetch.wait.max.ms"] == "77"
    assert config["group.id"] == "spark-executor-team"
    assert {name: config[name] for name in ENFORCED} == {name: value for name, (value, _) in ENFORCED.items()}
    assert config["auto.offset.reset"] == "error"
