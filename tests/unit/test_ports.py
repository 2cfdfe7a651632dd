"""Ports of the servers: free, below the outgoing range, and the same after a restart."""

from __future__ import annotations

import socket
from pathlib import Path

from servers.ports import LOOPBACK, RANGE, free_ports, is_free, kept_ports


def test_free_ports_are_different_and_outside_the_outgoing_range() -> None:
    """A port of a server that is down for a while must not be taken by somebody's outgoing connection."""
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(RANGE[0] <= port < RANGE[1] < 32768 for port in ports)


def test_ports_are_kept_while_nobody_else_took_them(tmp_path: Path) -> None:
    """The second start of a server finds its clients where the first one left them."""
    first = kept_ports(tmp_path / "ports.json", ["a", "b"], running=False)
    assert kept_ports(tmp_path / "ports.json", ["a", "b"], running=False) == first


def test_a_port_that_another_took_is_replaced_unless_it_is_our_own_server(tmp_path: Path) -> None:
    """In use by a stranger: new ports; in use by our running server: the same."""
    first = kept_ports(tmp_path / "ports.json", ["a"], running=False)
    with socket.create_server((LOOPBACK, first["a"])):
        assert not is_free(first["a"])
        assert kept_ports(tmp_path / "ports.json", ["a"], running=True) == first
        assert kept_ports(tmp_path / "ports.json", ["a"], running=False) != first
