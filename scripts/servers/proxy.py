"""A TCP proxy on loopback whose behaviour is switched while connections are open: what a network does to a client."""

from __future__ import annotations

import enum
import socket
import struct
import threading
import time
from contextlib import suppress

from servers.ports import LOOPBACK, free_ports

ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, as a crashed host's kernel does


class Mode(enum.Enum):
    """What happens to connections, open and new ones."""

    PASS = "pass"  # bytes go both ways
    REFUSE = "refuse"  # open ones are reset, new ones refused
    # requests reach the server; at its next reply, which is swallowed, the connection ends
    DROP_REPLIES = "drop-replies"
    # connections stay or are accepted, nothing moves; what was sent arrives after a switch back
    BLACKHOLE = "blackhole"
    DELAY = "delay"  # each piece is held back for ``delay`` seconds, both ways


class Proxy:
    """Forwards ``127.0.0.1:port`` to ``target`` ("host:port").  Safe to switch from any thread."""

    def __init__(self, target: str, port: int = 0) -> None:
        host, _, number = target.rpartition(":")
        self._target = (host, int(number))
        self.port = port or free_ports(1)[0]
        self.mode, self.delay, self.dropped = Mode.PASS, 0.0, 0
        self.replies = 0  # pieces that came from the server, swallowed ones too; a reply in its turn is one piece
        self._drops_left = self._passes_left = 0
        self._changed = threading.Condition()
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self.port}"

    def switch(self, mode: Mode, delay: float = 0.0, drops: int = 0, after: int = 0) -> None:
        """Takes effect at once.

        DROP_REPLIES lets ``after`` replies through first, and goes back to PASS after ``drops`` swallowed ones, if
        positive.
        """
        with self._changed:
            self.mode, self.delay, self._drops_left, self._passes_left = mode, delay, drops, after
            self._changed.notify_all()
        if mode is Mode.REFUSE:
            self._refuse()
        elif self._listener is None:
            self._listen()

    def cut(self) -> None:
        """Resets every open connection; new ones are treated by the mode."""
        for link in list(self._links):
            link.abort()

    def close(self) -> None:
        """Ends the proxy and every connection through it."""
        self.switch(Mode.REFUSE)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _refuse(self) -> None:
        if self._listener is not None:
            with suppress(OSError):  # wakes the accepting thread; close alone would not
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        link = _Link(client)
        self._links.add(link)
        try:
            if self._gate() is Mode.REFUSE:
                return
            link.server = socket.create_connection(self._target, timeout=10)
            link.server.settimeout(None)
            back = threading.Thread(target=self._pump, args=(link, link.server, client, True), daemon=True)
            back.start()
            self._pump(link, client, link.server, False)
            back.join()
        except OSError:
            pass
        finally:
            link.abort()
            self._links.discard(link)

    def _pump(self, link: _Link, source: socket.socket, sink: socket.socket, replies: bool) -> None:
        """Moves bytes one way until either side ends."""
        try:
            while data := source.recv(1 << 16):
                mode = self._gate()
                if replies:
                    self._count()
                if mode is Mode.REFUSE or (replies and mode is Mode.DROP_REPLIES and self._drop()):
                    link.abort()
                    return
                if mode is Mode.DELAY:
                    time.sleep(self.delay)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            link.abort()

    def _gate(self) -> Mode:
        """The mode now; waits while it is BLACKHOLE."""
        with self._changed:
            self._changed.wait_for(lambda: self.mode is not Mode.BLACKHOLE)
            return self.mode

    def _count(self) -> None:
        with self._changed:
            self.replies += 1

    def _drop(self) -> bool:
        """Counts a swallowed reply; false for one that may pass, or if another connection took the last one."""
        with self._changed:
            if self.mode is not Mode.DROP_REPLIES:
                return False
            if self._passes_left:
                self._passes_left -= 1
                return False
            self.dropped += 1
            self._drops_left -= 1
            if self._drops_left == 0:
                self.mode = Mode.PASS
            return True


class _Link:
    """The two sockets of one connection through the proxy."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None

    def abort(self) -> None:
        """Resets both sides; wakes whoever reads from them."""
        for end in (self.client, self.server):
            if end is not None:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                    end.shutdown(socket.SHUT_RDWR)
                with suppress(OSError):
                    end.close()
