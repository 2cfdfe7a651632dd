"""To the brokers: the topic that is written to, and a producer that gives up in time.  Sends no record."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError

CONNECT_SECONDS = 10.0


class ProduceError(Exception):
    """Nothing was sent.  ``exit_status``: 69 brokers unreachable, 2 the topic does not exist, 1 anything else."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def ensure_topic(servers: str, topic: str, partitions: int | None) -> None:
    """The topic exists afterwards; it is made with `partitions` if missing, or refused with ProduceError if None."""
    admin = _connected(KafkaAdminClient, servers)
    try:
        if topic in admin.list_topics():
            return
        if partitions is None:
            raise ProduceError(f"topic {topic} does not exist on {servers}; create it or give --partitions N", 2)
        admin.create_topics({topic: {"num_partitions": partitions}}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        pass
    except KafkaTimeoutError as e:
        raise ProduceError(f"no Kafka broker answered at {servers} ({e})", 69) from e
    except KafkaError as e:
        raise ProduceError(f"topic {topic} cannot be used on {servers}: {type(e).__name__}", 1) from e
    finally:
        admin.close()


def open_producer(servers: str, patience: float) -> KafkaProducer:
    """Idempotent, acks=all.  `patience`: seconds after which a record without an answer is given up as unknown."""
    return _connected(
        _Producer,
        servers,
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        linger_ms=20,
        batch_size=1 << 17,
        metrics_enabled=False,
        reconnect_backoff_max_ms=1000,
        request_timeout_ms=int(patience * 1000) // 2,
        delivery_timeout_ms=int(patience * 1000),
        max_block_ms=int(patience * 1000),
    )


def _connected(make: Callable[..., Any], servers: str, **config: Any) -> Any:
    try:
        return make(bootstrap_servers=servers.split(","), bootstrap_timeout_ms=int(CONNECT_SECONDS * 1000), **config)
    except (KafkaError, ValueError) as e:
        raise ProduceError(f"no Kafka broker answered at {servers} within {CONNECT_SECONDS:g} s ({e})", 69) from e


class _Producer(KafkaProducer):  # type: ignore[misc,unused-ignore]
    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        """kafka-python's own raises, from __del__ too, when records have no answer: the log accounts for them."""
        with suppress(KafkaError):
            super().close(timeout, null_logger)
