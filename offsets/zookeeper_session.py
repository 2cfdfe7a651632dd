"""One kazoo session of which every answer has a deadline.  It sends each request once and never decides to send again.

kazoo queues requests while it reconnects and waits for their answers without limit; here an answer that is late is
Unknown, and so is every other one that does not say whether the request was carried out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
)
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler

from offsets.errors import StoreError, UnavailableError

ANSWERS = (AuthFailedError, BadVersionError, NoAuthError, NodeExistsError, NoNodeError)  # certainly not carried out
CLOSE_SECONDS = 2.0  # longest wait for a server to confirm the end of a session; it ends by itself otherwise
PAUSE_SECONDS = 0.05  # between two attempts to read
RECONNECT = {"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": 0.5}


class Unknown(Exception):
    """No answer: the request may have been carried out, may yet be, or may be lost."""


class Deadline:
    """One span of time that all the steps of a call share."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Seconds, never below 0."""
        return max(self._end - self._clock(), 0.0)


class Session:
    """Connects on first use and reconnects by itself; after ``discard`` the next use begins a new session."""

    def __init__(self, hosts: str, timeout: float, connect_timeout: float) -> None:
        self.hosts, self._timeout = hosts, timeout
        self._connect_timeout = connect_timeout  # seconds for one host of several
        self._client: KazooClient | None = None
        self._live = threading.Event()
        self._closed = False

    def client(self, until: Deadline) -> KazooClient:
        """A client that was connected a moment ago.  Raises UnavailableError past the deadline."""
        if self._closed:
            raise StoreError(f"the connection to ZooKeeper at {self.hosts} was closed")
        client = self._client or self._start()
        if not self._live.wait(until.left()) or until.left() <= 0:
            raise UnavailableError(
                f"no answer from ZooKeeper at {self.hosts} within {until.seconds:g} s",
                "see that it runs and that the hosts and ports in [offsets] store are right, then launch again",
            )
        return client

    def once(self, until: Deadline, ask: Callable[[KazooClient], Any]) -> Any:
        """The answer to one request, or its refusal (ANSWERS).  Raises Unknown, and UnavailableError if never sent."""
        client = self.client(until)
        try:
            return ask(client).get(timeout=max(until.left(), 0.001))
        except ANSWERS:
            raise
        except (KazooException, KazooTimeoutError) as e:
            raise Unknown(f"{type(e).__name__}: {e}") from e

    def read(self, until: Deadline, ask: Callable[[KazooClient], Any]) -> Any:
        """The answer to a request that changes nothing, asked again until the deadline."""
        while True:
            try:
                return self.once(until, ask)
            except Unknown:
                time.sleep(min(PAUSE_SECONDS, until.left()))

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Ends the session if the block takes longer: whatever waits in it for an answer wakes with an error."""
        timer = threading.Timer(seconds, self.discard)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def discard(self) -> None:
        """Ends the session: its lock is free, and what still waits to be sent never is."""
        client, self._client = self._client, None
        self._live = threading.Event()
        if client is not None:
            thread = threading.Thread(target=_stop, args=(client,), daemon=True)
            thread.start()
            thread.join(CLOSE_SECONDS)

    def close(self) -> None:
        """For good."""
        self._closed = True
        self.discard()

    def _start(self) -> KazooClient:
        self._client = KazooClient(
            hosts=self.hosts,
            timeout=self._timeout,
            handler=_Handler(self._connect_timeout),
            connection_retry=dict(RECONNECT),
            command_retry={"max_tries": 1},
            logger=_Quiet(logging.getLogger(__name__), {}),
        )
        self._live = self._client.start_async()
        return self._client


def _stop(client: KazooClient) -> None:
    with suppress(Exception):  # a session that cannot be ended politely expires
        client.stop()
        client.close()


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]
    """Gives up on a host that does not even refuse in time for the next one to be tried."""

    def __init__(self, connect_timeout: float) -> None:
        super().__init__()
        self._connect_timeout = connect_timeout

    def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = min(kwargs.get("timeout") or self._connect_timeout, self._connect_timeout)
        return super().create_connection(*args, **kwargs)


class _Quiet(logging.LoggerAdapter):  # type: ignore[type-arg]
    """kazoo's remarks, stack traces among them, are for debugging: what matters is raised here as an error."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        super().log(min(level, logging.DEBUG), msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs
