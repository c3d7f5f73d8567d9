"""Who may execute now, who waits, and who is told to come back: bounds on executions under way, fair between tenants.

One tenant can have no more than its share of the places, nor of the line of those who wait. Whoever waits is served
before tenants who have more under way (``places``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from alga_common.fair_limiter import Entry, FairLimiter, share

from ..errors import Draining, Overloaded
from ..settings import Settings
from ..telemetry import Telemetry

MIN_RETRY_AFTER_MS = 100
MAX_RETRY_AFTER_MS = 60_000
DEFAULT_RETRY_AFTER_MS = 1_000
"""Where nobody waits there is no pace to go by."""


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
        """What ``settings`` say, where ``guests`` fit at once."""
        mine, queued = settings.max_guests_per_tenant, settings.max_queued_per_tenant
        return cls(
            executing=guests,
            executing_per_tenant=min(guests, share(guests) if mine is None else mine),
            queued=settings.max_queued,
            queued_per_tenant=min(
                settings.max_queued, share(settings.max_queued) if queued is None else queued
            ),
            patience_s=settings.queue_timeout_ms / 1000,
        )

    def __str__(self) -> str:
        return (
            f"{self.executing} concurrent executions, {self.executing_per_tenant} of one tenant;"
            f" {self.queued} more wait up to {round(self.patience_s * 1000)} ms, {self.queued_per_tenant} of one tenant"
        )


class Admission:
    """The places of one runner. Whoever entered leaves, whatever happens in between."""

    def __init__(self, bounds: Bounds, telemetry: Telemetry) -> None:
        self.bounds = bounds
        self._telemetry = telemetry
        self._places = FairLimiter(
            bounds.executing,
            bounds.executing_per_tenant,
            queue=bounds.queued,
            holder_queue=bounds.queued_per_tenant,
        )
        self.try_enter: Callable[[str], bool] = self._places.try_take
        """Enter at once, for a tenant, if there is room; whether there was."""
        self.leave: Callable[[str], None] = self._places.free
        """Leave again."""
        telemetry.watch_places(lambda: (self._places.taken, self._places.queued))

    @property
    def executing(self) -> int:
        """How many are in."""
        return self._places.taken

    @property
    def queued(self) -> int:
        """How many wait."""
        return self._places.queued

    async def enter(self, tenant: str, until: float) -> None:
        """Enter, waiting for a place, but not past ``until``, a reading of ``time.monotonic()``.

        Raises ``Overloaded`` or ``Draining``; then, and when cancelled, there is nothing to leave.
        """
        patience_s = max(0.0, min(self.bounds.patience_s, until - monotonic()))
        entry = await self._places.take(tenant, patience_s)
        if entry is not Entry.TAKEN:
            raise self._refusal(tenant, entry, patience_s)

    def close(self) -> None:
        """Let nobody in any more; those who wait are told so."""
        self._places.close()

    def _refusal(self, tenant: str, entry: Entry, patience_s: float) -> Overloaded | Draining:
        if entry is Entry.CLOSED:
            self._telemetry.refused("draining")
            return Draining()
        late = entry is Entry.LATE
        of_tenant = entry is Entry.HOLDER_FULL or (late and self._places.has_its_share(tenant))
        self._telemetry.refused(
            ("tenant_" if of_tenant else "") + ("queue_timeout" if late else "queue_full")
        )
        bounds = self.bounds
        if of_tenant:
            room = f"the tenant may have {bounds.executing_per_tenant} executions under way"
            room += f" and {bounds.queued_per_tenant} waiting"
        else:
            room = f"the runner may have {bounds.executing} executions under way and {bounds.queued} waiting"
        said = f"No place came free within {round(patience_s * 1000)} ms" if late else "There is no room"
        wait_s = self._places.wait_s(tenant if of_tenant else None)
        return Overloaded(
            f"{said}: {room}.",
            retry_after_ms=_retry_after_ms(wait_s),
            of_tenant=of_tenant,
            hint="Try again later; or see max_guests_per_tenant."
            if of_tenant
            else "Try again later; or add processes, or raise max_guests.",
        )


def _retry_after_ms(wait_s: float | None) -> int:
    """When to come back: after about as long as those who wait now will have waited."""
    if wait_s is None:
        return DEFAULT_RETRY_AFTER_MS
    return round(min(max(wait_s * 1000, MIN_RETRY_AFTER_MS), MAX_RETRY_AFTER_MS))
