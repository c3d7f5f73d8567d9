"""The places for runs of one server, shared between tenants while not all that is due has room.

Alone, a tenant may have about three quarters of them. Some always stay free for the next tenant, the fewer the more
tenants have runs; and a place that becomes free goes first to the tenants that have the fewest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from alga_common.fair_limiter import SHARE

from .due import DueSchedule


class Places:
    """So many places, and which tenants have them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.closed = False
        """While it is, none is given out."""
        self._held: Counter[str] = Counter()

    @property
    def held(self) -> Mapping[str, int]:
        """How many places each tenant has, of those that have any."""
        return self._held

    @property
    def free(self) -> int:
        """How many no tenant has; none once they are closed."""
        return 0 if self.closed else max(self.most - self._held.total(), 0)

    def copy(self) -> Places:
        """Return what they are now, for another thread: these change meanwhile."""
        copied = Places(self.most)
        copied.closed, copied._held = self.closed, self._held.copy()
        return copied

    def take(self, tenant_id: str) -> None:
        """Take a place for a run of the tenant; whether it may is for the caller to ask."""
        self._held[tenant_id] += 1

    def leave(self, tenant_id: str) -> None:
        """Give one back."""
        self._held[tenant_id] -= 1
        if not self._held[tenant_id]:
            del self._held[tenant_id]

    def has_room(self, tenant_id: str) -> bool:
        """Whether the tenant may take a place."""
        return _may_have_more(self._held[tenant_id], self.free)

    def in_turn(self, due: Sequence[DueSchedule]) -> list[DueSchedule]:
        """Return them in the order in which they get places: each tenant's next before another's next but one."""
        if len(due) <= self.free:
            return list(due)
        held = Counter(self._held)
        ranks = []
        for schedule in due:
            ranks.append(held[schedule.tenant_id])
            held[schedule.tenant_id] += 1
        return [due[at] for at in sorted(range(len(due)), key=ranks.__getitem__)]

    def pick(self, due: Sequence[DueSchedule], most: int) -> tuple[list[DueSchedule], list[DueSchedule]]:
        """The first of them, ``most`` at most, that take no place or may have one; and all the others."""
        held, free = Counter(self._held), self.free
        picked, others = list[DueSchedule](), list[DueSchedule]()
        for at, schedule in enumerate(due):
            if len(picked) == most:
                others += due[at:]
                break
            may = _may_have_more(held[schedule.tenant_id], free)
            if may and not schedule.running:
                held[schedule.tenant_id] += 1
                free -= 1
            (picked if may or schedule.running else others).append(schedule)
        return picked, others


def _may_have_more(held: int, free: int) -> bool:
    """Whether a tenant that has ``held`` places leaves enough of those that are ``free`` if it takes one."""
    return held < (SHARE - 1) * free
