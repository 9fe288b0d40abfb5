"""Ports of the loopback interface that stay a test's own."""

from __future__ import annotations

import socket


def keep() -> socket.socket:
    """A socket that keeps its port for who asks for it by number, with
    SO_REUSEADDR as servers do: nobody gets it by chance, neither to listen nor
    to connect from, also while nobody listens there."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


def port_of(keeper: socket.socket) -> int:
    port: int = keeper.getsockname()[1]
    return port
