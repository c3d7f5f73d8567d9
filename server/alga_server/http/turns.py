"""The database's time, shared fairly between tenants: of those that wait, the one with the fewest calls is next.

A tenant whose host calls took long, or read much, such as lists of large payloads, makes one at a time and rests in
between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alga_common.fair_limiter import FairLimiter, Outcome, share
from alga_common.sharing.large_work import Charged, LargeWorkQueue

from ..errors import RateLimited

LARGE_BYTES = 64 * 1024
"""An answer from this size on is read in a turn that the tenant's others wait for: JSON takes milliseconds."""

_MAX_WAITING = 4_000
_WAIT_S = 30.0


class Turns:
    """Lets ``limit`` host calls use the database concurrently; one tenant may use all while no other waits."""

    def __init__(self, limit: int) -> None:
        self._limiter = FairLimiter(
            limit, limit, max_waiting=_MAX_WAITING, owner_max_waiting=share(_MAX_WAITING)
        )
        self._large_work = LargeWorkQueue()

    @asynccontextmanager
    async def of(self, tenant_id: str, *, large: bool = False) -> AsyncIterator[Charged]:
        """Wait for a turn of the tenant's, and hold it; for ``large`` work until the tenant's other has ended.

        Raises ``RateLimited`` if too many calls wait, or for long.
        """
        async with self._large_work.charged(tenant_id, large=large) as charged:
            if await self._limiter.acquire(tenant_id, _WAIT_S) is not Outcome.ACQUIRED:
                raise RateLimited
            try:
                yield charged
            finally:
                self._limiter.release(tenant_id)
