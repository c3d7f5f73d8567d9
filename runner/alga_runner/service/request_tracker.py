"""Tracks the requests to ``/v1/execute``: bounds the memory they take, and ends them when the runner ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from types import TracebackType

import anyio

from alga_common.fair_limiter import share
from alga_common.http.memory import RequestMemory

from ..errors import Overloaded
from ..settings import Settings
from .http import Refused

REQUEST_BYTES = 16 * 1024
"""The estimated cost of a request without its body: its head, its connection's buffers, its task."""

_WEIGHT = 0.1
"""How much the latest request counts in the average time that requests take."""

_RETRY_AFTER_DRAINING_S = 1


def request_memory(settings: Settings) -> RequestMemory:
    """The bounds of ``settings``, raised so that one request of the largest size always fits."""
    largest = settings.max_http_body_bytes + REQUEST_BYTES
    limit = max(settings.max_http_bytes, largest)
    tenant_limit = settings.max_http_bytes_per_tenant
    if tenant_limit is None:
        tenant_limit = share(limit)
    return RequestMemory(limit, min(limit, max(tenant_limit, largest)))


class TrackedRequest:
    """One request, tracked while entered. ``RequestTracker.stop`` cancels the block, which ends without an error."""

    def __init__(self, tracker: RequestTracker, tenant: str) -> None:
        self.scope = anyio.CancelScope()
        self._tracker = tracker
        self._tenant = tenant
        self._held = 0
        self._since = monotonic()

    def __enter__(self) -> TrackedRequest:
        self.hold(REQUEST_BYTES)
        self._tracker.add(self)
        self.scope.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._tracker.memory.free(self._tenant, self._held)
        self._tracker.remove(self, monotonic() - self._since)
        return bool(self.scope.__exit__(kind, error, trace))

    def hold(self, count: int) -> None:
        """Hold ``count`` bytes more until the block ends. Raises ``Refused`` 503 or 429 ``overloaded``."""
        self._tracker.take(self._tenant, count)
        self._held += count


class RequestTracker:
    """The requests under way, within the bounds of ``memory``. ``refused`` counts refusals by their reason."""

    def __init__(self, memory: RequestMemory, refused: Callable[[str], None]) -> None:
        self.memory = memory
        self.draining = False
        self._refused = refused
        self._requests: set[TrackedRequest] = set()
        self._average_s = 0.0
        self._empty = anyio.Event()

    def __len__(self) -> int:
        return len(self._requests)

    def track(self, tenant: str) -> TrackedRequest:
        """Admit a request of ``tenant``; the caller enters it. Raises ``Refused`` 503 ``draining``."""
        if self.draining:
            self._refused("draining")
            raise draining()
        return TrackedRequest(self, tenant)

    def take(self, tenant: str, count: int) -> None:
        """Take ``count`` bytes of the memory for ``tenant``. Raises ``Refused`` 503 or 429 ``overloaded``."""
        memory = self.memory
        if memory.fits(tenant, count):
            memory.take(tenant, count)
            return
        of_tenant = not memory.fits_tenant(tenant, count)
        self._refused("tenant_bytes" if of_tenant else "bytes")
        whose, limit = ("the tenant", memory.tenant_limit) if of_tenant else ("the runner", memory.limit)
        raise overloaded(
            f"There is no room for the request: those under way may have {limit} bytes for {whose}.",
            retry_after_s=self._average_s,  # after that long, about as many bytes are free again
            of_tenant=of_tenant,
        )

    def add(self, request: TrackedRequest) -> None:
        """Begin to track ``request``."""
        self._requests.add(request)

    def remove(self, request: TrackedRequest, duration_s: float) -> None:
        """Track ``request`` no longer; it took ``duration_s`` seconds."""
        self._average_s += (duration_s - self._average_s) * _WEIGHT
        self._requests.discard(request)
        if not self._requests:
            self._empty.set()

    async def drain(self, grace_s: float) -> None:
        """Admit no more requests, and return when none is under way; cancel them after ``grace_s`` seconds."""
        self.draining = True
        with anyio.move_on_after(grace_s):
            await self._wait_until_empty()
        self.stop()
        await self._wait_until_empty()

    def stop(self) -> None:
        """Admit no more requests, and cancel those under way."""
        self.draining = True
        for request in self._requests:
            request.scope.cancel()

    async def _wait_until_empty(self) -> None:
        while self._requests:
            self._empty = anyio.Event()
            await self._empty.wait()


def no_room(error: Overloaded) -> Refused:
    """The refusal of a request that found no place to execute; nothing was carried out."""
    return overloaded(str(error), retry_after_s=error.retry_after_ms / 1000, of_tenant=error.of_tenant)


def overloaded(message: str, *, retry_after_s: float, of_tenant: bool) -> Refused:
    """The refusal when the runner is full, or a tenant has its whole share."""
    return Refused(429 if of_tenant else 503, "overloaded", message, headers=_retry_after(retry_after_s))


def draining() -> Refused:
    """The refusal of a runner that is about to end; nothing was carried out."""
    return Refused(
        503, "draining", "The runner is shutting down.", headers=_retry_after(_RETRY_AFTER_DRAINING_S)
    )


def _retry_after(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)
