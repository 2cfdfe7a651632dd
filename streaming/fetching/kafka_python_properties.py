"""A job's client properties, which bear librdkafka's names, as kafka-python takes them.  Decides; contacts nobody.

What has no counterpart is refused before any connection: a fetch that leaves out half of what a job says about
security, or about its network, would not be the one that the job asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streaming.source.client import ENFORCED


def _servers(text: str) -> list[str]:
    return [server.strip() for server in text.split(",")]


def _checked_name(text: str) -> bool:
    return text.strip().lower() == "https"


_NAMES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "bootstrap.servers": ("bootstrap_servers", _servers),
    "metadata.broker.list": ("bootstrap_servers", _servers),
    "client.id": ("client_id", str),
    "client.rack": ("client_rack", str),
    "fetch.min.bytes": ("fetch_min_bytes", int),
    "fetch.max.bytes": ("fetch_max_bytes", int),
    "fetch.message.max.bytes": ("max_partition_fetch_bytes", int),
    "max.partition.fetch.bytes": ("max_partition_fetch_bytes", int),
    "fetch.wait.max.ms": ("fetch_max_wait_ms", int),
    "retry.backoff.ms": ("retry_backoff_ms", int),
    "reconnect.backoff.ms": ("reconnect_backoff_ms", int),
    "reconnect.backoff.max.ms": ("reconnect_backoff_max_ms", int),
    "security.protocol": ("security_protocol", str.upper),
    "sasl.mechanism": ("sasl_mechanism", str),
    "sasl.mechanisms": ("sasl_mechanism", str),
    "sasl.username": ("sasl_plain_username", str),
    "sasl.password": ("sasl_plain_password", str),
    "sasl.kerberos.service.name": ("sasl_kerberos_service_name", str),
    "ssl.ca.location": ("ssl_cafile", str),
    "ssl.certificate.location": ("ssl_certfile", str),
    "ssl.key.location": ("ssl_keyfile", str),
    "ssl.key.password": ("ssl_password", str),
    "ssl.crl.location": ("ssl_crlfile", str),
    "ssl.cipher.suites": ("ssl_ciphers", str),
    "ssl.endpoint.identification.algorithm": ("ssl_check_hostname", _checked_name),
}
_NEEDLESS = {"group.id", *ENFORCED}  # no group is joined; the enforced ones are always set, below
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")

# As streaming.source.client has them for librdkafka, and for the same reasons.
_DEFAULTS: Mapping[str, Any] = {"fetch_max_wait_ms": 10, "reconnect_backoff_max_ms": 1000, "retry_backoff_ms": 20}
_FIXED: Mapping[str, Any] = {
    "group_id": None,
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    "check_crcs": True,
    "allow_auto_create_topics": False,
    "receive_message_max_bytes": 2**31 - 1,
    "metrics_enabled": False,
    "enable_incremental_fetch_sessions": False,  # nothing of one range is left to the next
}


def unmatched_properties(client: Mapping[str, str]) -> list[str]:
    """What kafka-python has no counterpart of, as `name: why`; values are never repeated (secrets)."""
    strange = [name for name in sorted(client) if name not in _NAMES and name not in _NEEDLESS]
    problems = [f"{name}: kafka-python has nothing like it; remove it, or source.client" for name in strange]
    for name in ("sasl.mechanism", "sasl.mechanisms"):
        if client.get(name, "PLAIN") not in _MECHANISMS:
            problems.append(f"{name}: kafka-python can do {', '.join(_MECHANISMS)} here")
    return problems


def connection(client: Mapping[str, str]) -> dict[str, Any]:
    """Where and how to connect: what consumer and admin client have in common."""
    own = ("bootstrap_", "client_id", "security_", "sasl_", "ssl_", "reconnect_", "retry_")
    return {name: value for name, value in consumer(client).items() if name.startswith(own) and name != "ssl_ciphers"}


def consumer(client: Mapping[str, str]) -> dict[str, Any]:
    """What an executor's consumer is built with; of the two names of one property the later one counts."""
    own = {_NAMES[name][0]: _NAMES[name][1](value) for name, value in client.items() if name in _NAMES}
    return {**_DEFAULTS, **own, **_FIXED}
