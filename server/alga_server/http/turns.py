"""The database's time, shared fairly between tenants: of those that wait, the one with the fewest calls is next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from alga_common.fair_limiter import FairLimiter, Outcome, share

from ..errors import RateLimited

_MAX_WAITING = 4_000
_WAIT_S = 30.0


class Turns:
    """Lets ``limit`` host calls use the database concurrently; one tenant may use all while no other waits."""

    def __init__(self, limit: int) -> None:
        self._limiter = FairLimiter(
            limit, limit, max_waiting=_MAX_WAITING, owner_max_waiting=share(_MAX_WAITING)
        )

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[None]:
        """Wait for a turn of the tenant's, and hold it. Raises ``RateLimited`` if too many calls wait, or for long."""
        if await self._limiter.acquire(tenant_id, _WAIT_S) is not Outcome.ACQUIRED:
            raise RateLimited
        try:
            yield
        finally:
            self._limiter.release(tenant_id)
