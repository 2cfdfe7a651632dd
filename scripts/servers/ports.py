"""Free ports on loopback that stay free while a server is down."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the range of outgoing connections: nothing else grabs the port of a server that is down for a while.
RANGE = (15_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """So many different ports, free now."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(*RANGE)
        if port not in found and is_free(port):
            found.append(port)
    return found


def kept_ports(file: Path, names: Sequence[str], running: bool) -> dict[str, int]:
    """The ports written to ``file`` by an earlier start; new ones if there are none, or others took them meanwhile."""
    try:
        known: dict[str, int] = json.loads(file.read_text())
    except FileNotFoundError:
        known = {}
    if set(known) != set(names) or not (running or all(map(is_free, known.values()))):
        known = dict(zip(names, free_ports(len(names)), strict=True))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known))
    return known


def connects(port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
