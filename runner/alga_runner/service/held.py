"""The memory that requests take from their first byte until they are answered: bounded, in all and for each tenant."""

from __future__ import annotations

from collections import defaultdict
from time import monotonic

from alga_common.fair_limiter import share

from ..settings import Settings

REQUEST_BYTES = 16 * 1024
"""What a request is taken to cost beside its body: its head, its connection's buffers, its task."""

_WEIGHT = 0.1
"""How much the latest request counts in the average time that requests are held."""


class RequestMemory:
    """Counts the bytes of requests that are being read, queued or executed, as they came."""

    def __init__(self, limit: int, tenant_limit: int) -> None:
        self.limit = limit
        self.tenant_limit = tenant_limit
        self.held = 0
        self._by_tenant: defaultdict[str, int] = defaultdict(int)
        self._held_s = 0.0

    @classmethod
    def of(cls, settings: Settings) -> RequestMemory:
        """What ``settings`` say; one request of the largest size always fits."""
        largest = settings.max_http_body_bytes + REQUEST_BYTES
        limit = max(settings.max_http_bytes, largest)
        mine = settings.max_http_bytes_per_tenant
        return cls(limit, min(limit, max(share(limit) if mine is None else mine, largest)))

    def fits(self, tenant: str, count: int) -> bool:
        """Whether there is room for ``count`` bytes more of ``tenant``."""
        return self.held + count <= self.limit and self.fits_tenant(tenant, count)

    def fits_tenant(self, tenant: str, count: int) -> bool:
        """Whether ``tenant`` may have ``count`` bytes more, be there room for them or not."""
        return self._by_tenant.get(tenant, 0) + count <= self.tenant_limit

    def take(self, tenant: str, count: int) -> None:
        """``count`` bytes more of ``tenant`` are held."""
        self.held += count
        self._by_tenant[tenant] += count

    def give_back(self, tenant: str, count: int, since: float) -> None:
        """``count`` bytes of ``tenant``, held since the reading ``since`` of ``time.monotonic()``, are free again."""
        self.held -= count
        left = self._by_tenant[tenant] - count
        if left:
            self._by_tenant[tenant] = left
        else:
            del self._by_tenant[tenant]
        self._held_s += (monotonic() - since - self._held_s) * _WEIGHT

    @property
    def retry_after_s(self) -> float:
        """Seconds after which there may be room: as long as requests were held lately."""
        return self._held_s
