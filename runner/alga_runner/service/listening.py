"""The socket that the service listens on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import SettingsError

BACKLOG = 2048
"""Connections that wait to be accepted; the kernel may allow fewer (``net.core.somaxconn``)."""


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens while this lasts; port 0 takes any free one. Raises ``SettingsError`` if it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise SettingsError(
            f"The runner cannot listen on {host} port {port}: {reason}.",
            hint="Choose another --port; 0 takes any that is free.",
        ) from None
    with listener:
        # Accepted sockets inherit it. asyncio sets it only where the listener's protocol says TCP, and this one's does
        # not; without it an answer's body waits for the acknowledgement of its head, 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def url_of(listener: socket.socket) -> str:
    """Where it answers."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
