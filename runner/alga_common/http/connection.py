"""A server's connection: uvicorn's with h11, and the doors that it leaves open closed.

A connection whose next request has no complete head after ``HEAD_WITHIN_S`` is closed, from its first second on. There
are bounds on all connections and on those of one address. A head that two parsers could read differently is refused
(RFC 9112, 11.2): with both framings, with a line that ends in LF alone, with a folded header. So is a large one.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 10.0
"""How long a client may take to send the head of a request."""

MAX_HEAD_BYTES = 64 * 1024
_END = b"\r\n\r\n"


def most_connections() -> int:
    """The connections that a process may have where no setting bounds them: half of the files that it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, files // 2)


def bounded_connections(most: int | None, most_of_address: int | None) -> type[Connection]:
    """The protocol of a server that has at most as many connections, in all and with one address.

    Unset, half of the process's open files may be connections, and half of those one address's: that of a proxy.
    """
    in_all = most or most_connections()
    of_one = min(in_all, most_of_address or -(-in_all // 2))
    members = {"max_connections": in_all, "max_of_address": of_one, "of_address": Counter[str]()}
    return type("BoundedConnection", (Connection,), members)


class Connection(H11Protocol):
    """One connection of a server that is made by ``bounded_connections``."""

    max_connections: int
    max_of_address: int
    of_address: Counter[str]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._address: str | None = None
        self._late: asyncio.TimerHandle | None = None
        self._head = bytearray()
        """The next request's head, as far as it has arrived."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close the connection if there are too many; else wait for a head."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.of_address[self._address] += 1
        if (
            len(self.connections) > self.max_connections
            or self.of_address[self._address] > self.max_of_address
        ):
            transport.abort()
            return
        self._late = self.loop.call_later(HEAD_WITHIN_S, self._close_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._address is not None:
            self.of_address[self._address] -= 1
            if not self.of_address[self._address]:
                del self.of_address[self._address]
            self._address = None

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is not sound; pass on everything else."""
        if self.conn.their_state is h11.IDLE and not self._sound(data):
            self._refuse()
            return
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Look at a request that arrived behind the one that was answered, before it is read."""
        if self.conn.their_state is h11.DONE:
            data, _ = self.conn.trailing_data
            if data and not self._sound(data):
                self.transport.close()  # after the answer
        super().on_response_complete()
        self._watch_head()

    def _sound(self, data: bytes) -> bool:
        """Whether the head is sound as far as it has arrived, ``data`` included."""
        head, start = self._head, len(self._head)
        head += data
        end = head.find(_END, max(0, start - len(_END) + 1))
        if (len(head) if end < 0 else end) > MAX_HEAD_BYTES:
            return False
        known = bytes(head[max(0, start - 2) : None if end < 0 else end + len(_END)])
        if known[:1] == b"\n":  # its CR was looked at before
            known = known[1:]
        if known.count(b"\n") != known.count(b"\r\n") or b"\n " in known or b"\n\t" in known:
            return False
        if end < 0:
            return True
        lines = bytes(head[: end + 2]).lower()
        head.clear()
        return not (b"\ncontent-length:" in lines and b"\ntransfer-encoding:" in lines)

    def _watch_head(self) -> None:
        """Bound the time of a head that has begun; stop once it is complete."""
        if self.conn.their_state is not h11.IDLE:
            self._head.clear()
            self._stop_waiting()
        elif self._head and self._late is None:
            self._late = self.loop.call_later(HEAD_WITHIN_S, self._close_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close_late(self) -> None:
        self._late = None
        self.transport.abort()

    def _refuse(self) -> None:
        self._head.clear()
        self._stop_waiting()
        if not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")
