"""The system's name resolution, in threads that guests' requests alone use.

It cannot be cancelled, and a tenant's own name server may never answer. So each tenant has a share of the threads, and
a thread is the tenant's until its look-up has ended, even if its request has ended.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address

from alga_common.fair_limiter import FOREVER, FairLimiter, Outcome, share

from .addresses import Address

Lookup = Callable[[str], Sequence[str]]
"""Returns the addresses of a name, and may take long. Raises ``OSError`` for a name that has none."""

_THREADS = 16


def system_lookup(host: str) -> Sequence[str]:
    """The addresses that the machine's name resolution has for ``host``."""
    results = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in results))


class Resolver:
    """Looks names up, in up to ``threads`` threads, a quarter of them for one owner."""

    def __init__(self, lookup: Lookup = system_lookup, *, threads: int = _THREADS) -> None:
        self._lookup = lookup
        self._slots = FairLimiter(threads, share(threads), max_waiting=sys.maxsize)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="alga-egress-dns")

    async def addresses(self, host: str, owner: str) -> list[Address]:
        """The addresses of ``host``. Raises ``OSError`` for a name that has none."""
        if await self._slots.acquire(owner, FOREVER) is not Outcome.ACQUIRED:
            raise OSError("the resolver is closed")
        loop = asyncio.get_running_loop()

        def ended(_: Future[Sequence[str]]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nothing waits
                loop.call_soon_threadsafe(self._slots.release, owner)

        try:
            looked_up = self._pool.submit(self._lookup, host)
        except BaseException:
            self._slots.release(owner)
            raise
        looked_up.add_done_callback(ended)
        texts = await asyncio.wrap_future(looked_up)
        addresses = []
        for text in texts:
            with suppress(ValueError):
                addresses.append(ip_address(text))
        return addresses

    def close(self) -> None:
        """Start no more look-ups; those under way end by themselves."""
        self._slots.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
