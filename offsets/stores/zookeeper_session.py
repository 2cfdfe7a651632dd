"""One kazoo session of which every answer has a deadline.  It sends each request once and never decides to send again.

kazoo queues requests while it reconnects and waits for their answers without limit; here an answer that is late is
Unknown, and so is every other one that does not say whether the request was carried out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

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

from offsets.deadline import PAUSE_SECONDS, Deadline
from offsets.errors import StoreError, UnavailableError

ANSWERS = (AuthFailedError, BadVersionError, NoAuthError, NodeExistsError, NoNodeError)  # certainly not carried out
CLOSE_SECONDS = 2.0  # longest wait for a server to confirm the end of a session; it ends by itself otherwise
RECONNECT = {"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": 0.5}

T = TypeVar("T")


class Unknown(Exception):
    """No answer: the request may have been carried out, may yet be, or may be lost."""


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
            raise self._no_answer(until.seconds)
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

    def at_most(self, seconds: float, act: Callable[[], T]) -> T:
        """What `act` returns or raises.  It may wait in kazoo for ever: then it is left behind without its session."""
        done: Future[T] = Future()
        threading.Thread(target=_run, args=(act, done), daemon=True).start()
        wait([done], seconds)
        if not done.done():
            self.discard()
            raise self._no_answer(seconds)
        return done.result()

    def discard(self) -> threading.Thread | None:
        """Ends the session without waiting for that: its lock goes, and what is still queued is not sent any more."""
        client, self._client = self._client, None
        self._live = threading.Event()
        if client is None:
            return None
        thread = threading.Thread(target=_stop, args=(client,), daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """For good.  The server has ended the session when this returns, or has not answered for CLOSE_SECONDS."""
        self._closed = True
        if ending := self.discard():
            ending.join(CLOSE_SECONDS)

    def _no_answer(self, seconds: float) -> UnavailableError:
        return UnavailableError(
            f"no answer from ZooKeeper at {self.hosts} within {seconds:g} s",
            "see that it runs and that the hosts and ports in [offsets] store are right, then launch again",
        )

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


def _run(act: Callable[[], T], done: Future[T]) -> None:
    try:
        done.set_result(act())
    except BaseException as e:
        done.set_exception(e)


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
