"""Keeps the memory of all guests together below a total, and ends those of the tenant that has the most.

Memory is counted as the system counts it: what guests touched. Two guests run at any moment, one on the event loop and
one in the CPU thread, so between two looks the process grows by what two processors can fill.

Above ``SHARES_FROM`` of the total, a tenant with more than its share can start no further guests, and its guests'
memories grow no more: ``memory.grow`` gives them -1. Above the total, guests end, the largest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

import anyio

from alga_common.fair_limiter import share
from alga_common.system.memory import anonymous_bytes

from ..engine import Budget
from ..errors import MemoryShortage, Overloaded
from ..telemetry import Telemetry

LOOK_EVERY_S = 0.01
"""How often memory is looked at while executions are under way."""

SHARES_FROM = 0.85
"""Part of the total below which tenants may have any part of it."""

TAKES_EFFECT_LOOKS = 5
"""Looks after guests were ended, before more of them are: their memory is returned as they unwind."""

TOUCHED_BYTES_PER_S = 4 << 30
"""How fast a guest may fill memory at most: it has touched no more than this in the time that it computed."""

MIB = 1 << 20


class MemoryGuard:
    """Looks at the process's memory while executions are under way. ``run`` runs as long as the runner does.

    ``under_way`` has the budget of each execution that has a guest, or will have.
    """

    def __init__(
        self,
        total_bytes: int,
        under_way: Collection[Budget],
        telemetry: Telemetry,
        *,
        resident: Callable[[], int] = anonymous_bytes,
    ) -> None:
        self._total = total_bytes
        self._share = share(total_bytes)
        self._under_way = under_way
        self._telemetry = telemetry
        self._resident = resident
        self._looks_until_next = 0
        self._busy = anyio.Event()
        self.refused: frozenset[str] = frozenset()
        """Tenants that have more than their share, while memory is short."""
        self.full = False
        """Whether there is no memory for any further guest."""
        self.idle = True
        """Whether no execution has come since the last look: the next one wakes the guard."""

    def wake(self) -> None:
        """Look from now on: an execution is under way."""
        self.idle = False
        self._busy.set()

    def require_room(self, tenant: str) -> None:
        """Raise ``Overloaded`` if memory is short, and the tenant has its share, or no tenant may have more."""
        if self.full or tenant in self.refused:
            of_tenant = tenant in self.refused
            self._telemetry.refused("tenant_memory" if of_tenant else "memory")
            most = self._share if of_tenant else self._total
            raise Overloaded(
                f"The runner has no memory for another guest{' of the tenant' * of_tenant}:"
                f" {'its share is' if of_tenant else 'all may have'} {most // MIB} MiB.",
                of_tenant=of_tenant,
                hint="Try again later; or add memory, or see max_process_memory_mb.",
            )

    async def run(self) -> None:
        """Look every ``LOOK_EVERY_S`` while executions are under way or came lately, until cancelled."""
        while True:
            await self._busy.wait()
            self._busy = anyio.Event()
            while self._under_way or not self.idle:
                self.idle = True
                self.look()
                await anyio.sleep(LOOK_EVERY_S)
            self.refused, self.full = frozenset(), False

    def look(self) -> None:
        """Compare the process's memory with the total once."""
        resident = self._resident()
        self.full = resident > self._total
        if resident <= self._total * SHARES_FROM:
            self.refused = frozenset()
            return
        held = self._held()
        self.refused = frozenset(
            tenant for tenant, guests in held.items() if sum(guests.values()) > self._share
        )
        for tenant in self.refused:
            for budget in held[tenant]:
                if budget.guest is not None:
                    budget.guest.stop_growing()
        self._looks_until_next -= 1
        if self.full and self._looks_until_next <= 0:
            self._end(held.values(), resident - self._total)

    def _held(self) -> dict[str, dict[Budget, int]]:
        """By tenant, the bytes of each of its guests, without those that are being ended.

        They are what it has touched at most, and what the host holds for it: requests, replies, bodies on their way.
        """
        held: defaultdict[str, dict[Budget, int]] = defaultdict(dict)
        for budget in self._under_way:
            if budget.guest is not None and not budget.stopped:
                touched = int(budget.used_s * TOUCHED_BYTES_PER_S)
                of_host = 0 if budget.holder is None else budget.holder.held_bytes
                held[budget.owner][budget] = min(touched, budget.guest.memory_bytes) + of_host
        return held

    def _end(self, held: Iterable[dict[Budget, int]], excess: int) -> None:
        """End guests that have ``excess`` bytes together: the largest, of the tenant with the most."""
        for guests in sorted(held, key=lambda guests: sum(guests.values()), reverse=True):
            for budget in sorted(guests, key=guests.__getitem__, reverse=True):
                if excess <= 0 or not guests[budget]:
                    break
                excess -= guests[budget]
                self._looks_until_next = TAKES_EFFECT_LOOKS
                budget.stop(
                    MemoryShortage(
                        f"The runner ended the execution, which had up to {guests[budget] // MIB} MiB, to keep its own "
                        f"memory below {self._total // MIB} MiB: its tenant's guests had the most."
                    )
                )
            if excess <= 0:
                return
