"""Bounds the executions that run and wait, and shares them fairly between tenants.

A tenant has at most its share of the slots and of the waiting requests. A released slot goes to the waiting tenant
with the fewest executions under way (``FairLimiter``). A refused caller learns when to try again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from alga_common.fair_limiter import FairLimiter, Outcome, share

from ..errors import Draining, Overloaded
from ..settings import Settings
from ..telemetry import Telemetry

MIN_RETRY_AFTER_MS = 100
MAX_RETRY_AFTER_MS = 60_000
DEFAULT_RETRY_AFTER_MS = 1_000
"""Used if no execution waits, since then there is no pace to estimate from."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many executions may be under way and wait, in all and of one tenant, and for how long, in seconds."""

    executing: int
    executing_per_tenant: int
    queued: int
    queued_per_tenant: int
    patience_s: float

    @classmethod
    def of(cls, settings: Settings, guests: int) -> Bounds:
        """The bounds of ``settings``, where ``guests`` fit concurrently."""
        of_tenant, queued_of_tenant = settings.max_guests_per_tenant, settings.max_queued_per_tenant
        if of_tenant is None:
            of_tenant = share(guests)
        if queued_of_tenant is None:
            queued_of_tenant = share(settings.max_queued)
        return cls(
            executing=guests,
            executing_per_tenant=min(guests, of_tenant),
            queued=settings.max_queued,
            queued_per_tenant=min(settings.max_queued, queued_of_tenant),
            patience_s=settings.queue_timeout_ms / 1000,
        )

    def __str__(self) -> str:
        return (
            f"{self.executing} concurrent executions, {self.executing_per_tenant} of one tenant;"
            f" {self.queued} more wait up to {round(self.patience_s * 1000)} ms, {self.queued_per_tenant} of one tenant"
        )


class Admission:
    """Admits executions to one runner. Every execution that entered leaves."""

    def __init__(self, bounds: Bounds, telemetry: Telemetry) -> None:
        self.bounds = bounds
        self._telemetry = telemetry
        self._slots = FairLimiter(
            bounds.executing,
            bounds.executing_per_tenant,
            max_waiting=bounds.queued,
            owner_max_waiting=bounds.queued_per_tenant,
        )
        self.try_enter: Callable[[str], bool] = self._slots.try_acquire
        """Enter for a tenant without waiting; ``False`` if there is no room."""
        self.leave: Callable[[str], None] = self._slots.release
        """Leave again."""
        telemetry.watch_places(lambda: (self._slots.used, self._slots.waiting))

    @property
    def executing(self) -> int:
        """How many executions are under way."""
        return self._slots.used

    @property
    def queued(self) -> int:
        """How many executions wait."""
        return self._slots.waiting

    async def enter(self, tenant: str, until: float) -> None:
        """Enter, waiting for a slot, but not past ``until``, a reading of ``time.monotonic()``.

        Raises ``Overloaded`` or ``Draining``; then, and when cancelled, there is nothing to leave.
        """
        patience_s = max(0.0, min(self.bounds.patience_s, until - monotonic()))
        outcome = await self._slots.acquire(tenant, patience_s)
        if outcome is not Outcome.ACQUIRED:
            raise self._refusal(tenant, outcome, patience_s)

    def close(self) -> None:
        """Admit no more executions; the waiting ones end with ``Draining``."""
        self._slots.close()

    def _refusal(self, tenant: str, outcome: Outcome, patience_s: float) -> Overloaded | Draining:
        if outcome is Outcome.CLOSED:
            self._telemetry.refused("draining")
            return Draining()
        late = outcome is Outcome.TIMED_OUT
        of_tenant = outcome is Outcome.OWNER_FULL or (late and self._slots.has_its_share(tenant))
        self._telemetry.refused(
            ("tenant_" if of_tenant else "") + ("queue_timeout" if late else "queue_full")
        )
        bounds = self.bounds
        if of_tenant:
            room = f"the tenant may have {bounds.executing_per_tenant} executions under way"
            room += f" and {bounds.queued_per_tenant} waiting"
        else:
            room = f"the runner may have {bounds.executing} executions under way and {bounds.queued} waiting"
        refusal = f"No slot became free within {round(patience_s * 1000)} ms" if late else "There is no room"
        wait_s = self._slots.wait_s(tenant if of_tenant else None)
        return Overloaded(
            f"{refusal}: {room}.",
            retry_after_ms=_retry_after_ms(wait_s),
            of_tenant=of_tenant,
            hint="Try again later; or see max_guests_per_tenant."
            if of_tenant
            else "Try again later; or add processes, or raise max_guests.",
        )


def _retry_after_ms(wait_s: float | None) -> int:
    """When to try again: after about as long as a request that waits now would have waited."""
    if wait_s is None:
        return DEFAULT_RETRY_AFTER_MS
    return round(min(max(wait_s * 1000, MIN_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS))
