"""Bytes of requests that are in memory at the same time, in all and of one tenant."""

from __future__ import annotations

from collections import Counter


class RequestMemory:
    """Counts the bytes of requests that are being read, queued or executed, in total and for each tenant."""

    def __init__(self, limit: int, tenant_limit: int) -> None:
        self.limit = limit
        self.tenant_limit = tenant_limit
        self._by_tenant: Counter[str] = Counter()
        self._total = 0

    def fits(self, tenant: str, count: int) -> bool:
        """Whether there is room for ``count`` bytes more of ``tenant``."""
        return self._total + count <= self.limit and self.fits_tenant(tenant, count)

    def fits_tenant(self, tenant: str, count: int) -> bool:
        """Whether ``count`` bytes more of ``tenant`` are within its own bound."""
        return self._by_tenant[tenant] + count <= self.tenant_limit

    def take(self, tenant: str, count: int) -> None:
        """Count ``count`` bytes more of ``tenant``."""
        self._total += count
        self._by_tenant[tenant] += count

    def free(self, tenant: str, count: int) -> None:
        """Count ``count`` bytes less of ``tenant``."""
        self._total -= count
        self._by_tenant[tenant] -= count
        if not self._by_tenant[tenant]:
            del self._by_tenant[tenant]
