"""The TCP proxy: every mode does to a client what it says, and can be switched while a connection is open."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from servers.daemon import wait_for
from servers.proxy import Mode, Proxy

LIMIT = 5.0


class Echo:
    """A server that remembers what it received and sends it back."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    self.received += data
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def through(echo: Echo, proxy: Callable[..., Proxy]) -> Proxy:
    return proxy(echo.address)


@pytest.fixture
def client(through: Proxy) -> Iterator[socket.socket]:
    """An open connection that has already passed something."""
    with connect(through) as connection:
        assert ask(connection, b"hello") == b"hello"
        yield connection


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=LIMIT)


def ask(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(4096)


def ends(connection: socket.socket) -> bool:
    """Whether the connection was ended without another byte."""
    try:
        return connection.recv(4096) == b""
    except ConnectionError:
        return True


def test_refuse_resets_open_connections_and_refuses_new_ones(through: Proxy, client: socket.socket) -> None:
    """As if the server were gone."""
    through.switch(Mode.REFUSE)
    assert ends(client)
    with pytest.raises(ConnectionRefusedError):
        connect(through)


def test_pass_after_refuse_serves_the_same_port_again(through: Proxy) -> None:
    """As if the server had come back."""
    through.switch(Mode.REFUSE)
    through.switch(Mode.PASS)
    with connect(through) as connection:
        assert ask(connection, b"again") == b"again"


def test_a_dropped_reply_leaves_the_request_done(through: Proxy, client: socket.socket, echo: Echo) -> None:
    """The server has the request, the client has a broken connection and no answer."""
    through.switch(Mode.DROP_REPLIES)
    client.sendall(b"do it")
    assert ends(client)
    assert echo.received == b"hellodo it"
    assert through.dropped == 1


def test_only_so_many_replies_are_dropped(through: Proxy, client: socket.socket) -> None:
    """After the given number the proxy passes again, so that the client can read back what happened."""
    through.switch(Mode.DROP_REPLIES, drops=1)
    client.sendall(b"do it")
    assert ends(client)
    with connect(through) as connection:
        assert ask(connection, b"did you?") == b"did you?"


def test_the_nth_reply_is_dropped(through: Proxy, client: socket.socket) -> None:
    """Those before it pass, whatever connection they are for, and all are counted."""
    before = through.replies
    through.switch(Mode.DROP_REPLIES, drops=1, after=2)
    with connect(through) as other:
        assert ask(other, b"one") == b"one"
        assert ask(client, b"two") == b"two"
        other.sendall(b"three")
        assert ends(other)
    assert ask(client, b"four") == b"four"
    assert (through.dropped, through.replies - before) == (1, 4)


def test_a_blackhole_holds_everything_and_delivers_after_it_heals(through: Proxy, client: socket.socket) -> None:
    """No answer and no end of the connection, then the answer: what a partition of the network does."""
    through.switch(Mode.BLACKHOLE)
    client.sendall(b"anybody?")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(4096)
    client.settimeout(LIMIT)
    through.switch(Mode.PASS)
    assert client.recv(4096) == b"anybody?"


def test_a_blackhole_accepts_new_connections(through: Proxy) -> None:
    """A client connects and then hears nothing."""
    through.switch(Mode.BLACKHOLE)
    with connect(through) as connection:
        connection.sendall(b"anybody?")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(4096)


def test_delay_holds_each_piece_back(through: Proxy, client: socket.socket) -> None:
    """There and back each take the delay."""
    through.switch(Mode.DELAY, delay=0.2)
    begin = time.monotonic()
    assert ask(client, b"slow") == b"slow"
    assert time.monotonic() - begin >= 0.4


def test_a_closed_proxy_leaves_no_thread(echo: Echo) -> None:
    """Threads of the listener and of open connections end with it."""
    before = set(threading.enumerate())
    with Proxy(echo.address) as through, connect(through) as connection:
        assert ask(connection, b"x") == b"x"
    echo_threads = 1
    wait_for(lambda: len(set(threading.enumerate()) - before) <= echo_threads, LIMIT, "the proxy's threads to end")
