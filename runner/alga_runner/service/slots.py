"""Requests under way: how much they hold, none once the runner drains, and an end for those that stay too long."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from types import TracebackType

import anyio

from ..errors import Overloaded
from .held import REQUEST_BYTES, RequestMemory
from .http import Refused

_RETRY_AFTER_DRAINING_S = 1


class Slot:
    """One request's place while entered. What is inside may be cancelled by ``RequestTracker.stop``, and then just ends."""

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
