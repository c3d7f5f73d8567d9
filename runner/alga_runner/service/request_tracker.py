"""The memory that requests take from their first byte until they are answered: bounded, in all and for each tenant.

Requests under way: how much they hold, none once the runner drains, and an end for those that stay too long.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from types import TracebackType

import anyio

from alga_common.fair_limiter import share

from ..errors import Overloaded
from ..settings import Settings
from .http import Refused

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


_RETRY_AFTER_DRAINING_S = 1


class Slot:
    """One request, tracked while entered. ``RequestTracker.stop`` may cancel what is inside, which then just ends."""

    def __init__(self, slots: RequestTracker, tenant: str) -> None:
        self._slots = slots
        self._tenant = tenant
        self._held = 0
        self._since = monotonic()
        self._scope = anyio.CancelScope()

    def __enter__(self) -> Slot:
        self.hold(REQUEST_BYTES)
        self._slots.enter(self)
        self._scope.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._slots.leave(self)
        self._slots.bytes.give_back(self._tenant, self._held, self._since)
        return bool(self._scope.__exit__(kind, error, trace))

    def hold(self, count: int) -> None:
        """Hold ``count`` bytes more until the end. Raises ``Refused`` 503 or 429 ``overloaded``."""
        self._slots.require_room(self._tenant, count)
        self._slots.bytes.take(self._tenant, count)
        self._held += count

    def cancel(self) -> None:
        """End what is inside."""
        self._scope.cancel()


class RequestTracker:
    """The requests that were let in. ``refused`` counts those that were not, by reason."""

    def __init__(self, held: RequestMemory, refused: Callable[[str], None]) -> None:
        self.bytes = held
        self._refused = refused
        self._taken: set[Slot] = set()
        self._empty = anyio.Event()
        self.draining = False

    @property
    def taken(self) -> int:
        """How many are in."""
        return len(self._taken)

    def take(self, tenant: str) -> Slot:
        """A slot for a request of ``tenant``, to be entered. Raises ``Refused`` 503 ``draining``."""
        if self.draining:
            self._refused("draining")
            raise draining()
        return Slot(self, tenant)

    def require_room(self, tenant: str, count: int) -> None:
        """Raise ``Refused`` 503 or 429 ``overloaded`` unless there is room for ``count`` bytes more."""
        if self.bytes.fits(tenant, count):
            return
        of_tenant = not self.bytes.fits_tenant(tenant, count)
        self._refused("tenant_bytes" if of_tenant else "bytes")
        whose, limit = (
            ("the tenant", self.bytes.tenant_limit) if of_tenant else ("the runner", self.bytes.limit)
        )
        raise overloaded(
            f"There is no room for the request: those under way may have {limit} bytes for {whose}.",
            retry_after_s=self.bytes.retry_after_s,
            of_tenant=of_tenant,
        )

    def enter(self, slot: Slot) -> None:
        """``slot`` is in use."""
        self._taken.add(slot)

    def leave(self, slot: Slot) -> None:
        """``slot`` is free again."""
        self._taken.discard(slot)
        if not self._taken:
            self._empty.set()

    async def drain(self, grace_s: float) -> None:
        """Let nobody in any more; return when all have left, which after ``grace_s`` seconds they must."""
        self.draining = True
        with anyio.move_on_after(grace_s):
            await self._wait_until_empty()
        self.stop()
        await self._wait_until_empty()

    def stop(self) -> None:
        """Let nobody in any more and cancel everything that is in."""
        self.draining = True
        for slot in self._taken:
            slot.cancel()

    async def _wait_until_empty(self) -> None:
        while self._taken:
            self._empty = anyio.Event()
            await self._empty.wait()


def no_room(error: Overloaded) -> Refused:
    """The refusal of a request for whose execution there was no place; nothing was carried out."""
    return overloaded(str(error), retry_after_s=error.retry_after_ms / 1000, of_tenant=error.of_tenant)


def overloaded(message: str, *, retry_after_s: float, of_tenant: bool) -> Refused:
    """The refusal of a runner that is full, or of a tenant that has all it may have."""
    return Refused(429 if of_tenant else 503, "overloaded", message, headers=_retry_after(retry_after_s))


def draining() -> Refused:
    """The refusal of a runner that is about to end; nothing was carried out."""
    return Refused(
        503, "draining", "The runner is shutting down.", headers=_retry_after(_RETRY_AFTER_DRAINING_S)
    )


def _retry_after(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)
