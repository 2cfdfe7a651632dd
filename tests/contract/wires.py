"""Losses between a driver and its server, by a TCP proxy: what a write meets whose outcome is not known."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from offsets.stores.base import OffsetStore, Versioned
from servers.proxy import Mode, Proxy
from tests.contract.store_places import created, wait_for

FIRST = pytest.mark.parametrize("first", [True, False], ids=["create", "replace"])


def before(store: OffsetStore, first: bool) -> tuple[Versioned | None, int]:
    """What the driver behind the proxy expects, and the version that its write will have."""
    if first:
        assert store.load() is None
        return None, 0
    now = created(store)
    return now, now.version + 1


class Wire:
    """For scenes that see a register through a proxy."""

    proxy: Proxy

    def lose_reply(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """The next request is carried out, its reply lost.  No way back to the server before `meanwhile` has run."""
        self.proxy.switch(Mode.DROP_REPLIES)

        def heal() -> None:
            wait_for(lambda: self.proxy.dropped > 0, 10)
            meanwhile()
            self.proxy.switch(Mode.PASS)

        threading.Thread(target=heal).start()

    def lose_request(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """What is sent from now on gets as far as the proxy; then the connection breaks, and `meanwhile` runs."""
        self.proxy.switch(Mode.BLACKHOLE)

        def heal() -> None:
            self.proxy.cut()
            meanwhile()
            self.proxy.switch(Mode.PASS)

        threading.Timer(0.5, heal).start()
