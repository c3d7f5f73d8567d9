"""How often one install may change its schedules: a burst, then a steady rate, kept in the database.

GCRA, the leaky bucket as a meter: each change moves the install's *theoretical arrival time* on by the time that one
change takes at the steady rate; a change that would move it further ahead of now than the burst allows is refused. One
instant in the install's row is all the state, so any number of servers on one database share the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection

from ..errors import RateLimited
from ..storage.owned import place
from .owner import TOUCH, ScheduleOwner


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_minute`` changes for as long as wished, after ``burst`` without a wait."""

    per_minute: int = 10
    burst: int = 50

    @property
    def cost(self) -> timedelta:
        """What one change moves the arrival time on by."""
        return timedelta(minutes=1) / self.per_minute


def take(connection: Connection, install: ScheduleOwner, rate: Rate, now: datetime) -> None:
    """Count one change, and set the time of the install's last. Raises ``RateLimited`` with the time to wait.

    Runs in the transaction of the change, whose caller holds the install's row since before it was read: a change that
    is rolled back was not counted, and no two are counted as one.
    """
    arrival = install.rate_arrival_at
    ahead = rate.cost * rate.burst
    # No further ahead than a whole burst: a clock that was set back, or a setting, would bar the install for long.
    start = now if arrival is None else max(now, min(arrival, now + ahead))
    wait = start + rate.cost - ahead - now
    if wait > timedelta():
        raise RateLimited(retry_after_s=ceil(wait.total_seconds()))
    changed = {"updated_at": now, "rate_arrival_at": start + rate.cost}
    connection.execute(TOUCH, place(install.tenant_id, install.install_id) | changed)
