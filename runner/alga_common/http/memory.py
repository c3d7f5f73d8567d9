"""Bytes of requests that are in memory at the same time, in all and of one tenant."""

from __future__ import annotations


class RequestMemory:
    """Counts the bytes of requests that are being read, queued or executed, in total and for each tenant."""

    def __init__(self, limit: int, tenant_limit: int) -> None:
        self.limit = limit
        self.tenant_limit = tenant_limit
        self._by_tenant: dict[str, int] = {}
        self._total = 0

    def fits(self, tenant: str, count: int) -> bool:
        """Whether there is room for ``count`` bytes more of ``tenant``."""
        return self._total + count <= self.limit and self.fits_tenant(tenant, count)

    def fits_tenant(self, tenant: str, count: int) -> bool:
        """Whether ``count`` bytes more of ``tenant`` are within its own bound."""
        return self._by_tenant.get(tenant, 0) + count <= self.tenant_limit

    def try_take(self, tenant: str, count: int) -> bool:
        """Count ``count`` bytes more of ``tenant`` if there is room for them; returns whether there is."""
        total, held = self._total + count, self._by_tenant.get(tenant, 0) + count
        if total > self.limit or held > self.tenant_limit:
            return False
        self._total, self._by_tenant[tenant] = total, held
        return True

    def free(self, tenant: str, count: int) -> None:
        """Count ``count`` bytes less of ``tenant``."""
        self._total -= count
        held = self._by_tenant.get(tenant, 0) - count
        if held:
            self._by_tenant[tenant] = held
        else:
            self._by_tenant.pop(tenant, None)
